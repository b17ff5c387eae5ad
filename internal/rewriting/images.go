package rewriting

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

// Origin is where an image of a pod comes from.
type Origin string

// What can be told from a pod. Whether a node pulls through a mirror cannot.
const (
	// Rewritten is an image of another registry that is pulled by Larder's name.
	Rewritten Origin = "rewritten"
	// Hosted is an image that is Larder's own.
	Hosted Origin = "hosted"
	// OptedOut is an image that would be rewritten, but its pod or its namespace opts out.
	OptedOut Origin = "opted-out"
	// ByNode is an image that could be rewritten and is not: nodes pull it through their
	// mirror, where they have one, or from its registry.
	ByNode Origin = "by-node"
	// Elsewhere is an image of a registry that Larder does not mirror.
	Elsewhere Origin = "elsewhere"
)

// Used is an image, and who uses it.
type Used struct {
	From       Origin   `json:"from"`
	Image      string   `json:"image"`
	Pods       int      `json:"pods"`
	Namespaces []string `json:"namespaces"`
}

// Images are those of all pods that have not ended, in the order of where they come from and
// of their names.
func (i Installation) Images(ctx context.Context) ([]Used, error) {
	quiet, err := i.quietNamespaces(ctx)
	if err != nil {
		return nil, err
	}
	type key struct {
		from  Origin
		image string
	}
	pods, namespaces := map[key]int{}, map[key]map[string]bool{}
	err = eachPod(ctx, i.cluster, func(pod *corev1.Pod) error {
		out := quiet[pod.Namespace] || i.OptOut.Namespace(pod.Namespace) || i.OptOut.Annotated(pod.Annotations)
		images := imagesOf(pod)
		slices.Sort(images)
		for _, image := range slices.Compact(images) {
			k := key{i.origin(image, out), image}
			pods[k]++
			if namespaces[k] == nil {
				namespaces[k] = map[string]bool{}
			}
			namespaces[k][pod.Namespace] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := []Used{}
	for k, n := range pods {
		all = append(all, Used{k.from, k.image, n, slices.Sorted(maps.Keys(namespaces[k]))})
	}
	order := []Origin{Rewritten, Hosted, OptedOut, ByNode, Elsewhere}
	slices.SortFunc(all, func(a, b Used) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.From), slices.Index(order, b.From)), cmp.Compare(a.Image, b.Image))
	})
	return all, nil
}

// quietNamespaces are those whose label opts out.
func (i Installation) quietNamespaces(ctx context.Context) (map[string]bool, error) {
	quiet := map[string]bool{}
	err := i.cluster.List(ctx, "/api/v1/namespaces?labelSelector="+mirror.OptOutKey+"="+mirror.Disabled, func(item json.RawMessage) error {
		var read corev1.Namespace
		if err := json.Unmarshal(item, &read); err != nil {
			return err
		}
		quiet[read.Name] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for namespaces that opt out: %w", err)
	}
	return quiet, nil
}

// origin tells where an image comes from that a pod names, whose pod may have opted out.
func (i Installation) origin(image string, optedOut bool) Origin {
	if i.served(image) {
		project, _, _ := strings.Cut(strings.TrimPrefix(image, i.Rules.Host+"/"), "/")
		if slices.Contains(slices.Collect(maps.Values(i.Rules.Caches)), project) {
			return Rewritten
		}
		return Hosted
	}
	_, cached := i.Rules.Rewrite(image)
	switch {
	case !cached:
		return Elsewhere
	case optedOut:
		return OptedOut
	}
	return ByNode
}

// served tells whether an image is named as Larder serves it.
func (i Installation) served(image string) bool {
	return i.Rules.Host != "" && strings.HasPrefix(image, i.Rules.Host+"/")
}

// imagesOf are all that a pod names.
func imagesOf(pod *corev1.Pod) (images []string) {
	for _, image := range kube.PodImages(pod) {
		images = append(images, image.Name)
	}
	return images
}

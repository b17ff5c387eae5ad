package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
)

// RunningPods is the list of the pods of all namespaces that have not ended.
const RunningPods = "/api/v1/pods?fieldSelector=status.phase!=Succeeded,status.phase!=Failed"

// RunningImage is the image of a container.
type RunningImage struct {
	Name   string        // as the pod has it
	Digest digest.Digest // of what runs; "" while nothing does
}

// PodImages are those that a pod names, each with the digest of what runs of it.
func PodImages(pod *corev1.Pod) (all []RunningImage) {
	runs := map[string]digest.Digest{}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses) {
		_, id, _ := strings.Cut(s.ImageID, "@") // docker.io/library/nginx@sha256:..., or sha256:..., the id of no manifest
		if d := digest.Digest(id); d.Validate() == nil {
			runs[s.Name] = d
		}
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		all = append(all, RunningImage{c.Image, runs[c.Name]})
	}
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, RunningImage{c.Image, runs[c.Name]})
	}
	for _, v := range pod.Spec.Volumes {
		if v.Image != nil {
			all = append(all, RunningImage{Name: v.Image.Reference})
		}
	}
	return slices.DeleteFunc(all, func(i RunningImage) bool { return i.Name == "" })
}

// RunningImages are those of all pods that have not ended, each once, by name. The error says
// so when there are more than most.
func (c *Cluster) RunningImages(ctx context.Context, most int) ([]RunningImage, error) {
	seen := map[RunningImage]bool{}
	err := c.List(ctx, RunningPods, func(item json.RawMessage) error {
		var pod corev1.Pod
		if err := json.Unmarshal(item, &pod); err != nil {
			return fmt.Errorf("reading a pod of %s (%s): %w", c.Server, c.From, err)
		}
		for _, image := range PodImages(&pod) {
			seen[image] = true
		}
		if len(seen) > most {
			return fmt.Errorf("the pods of %s (%s) have more than %d images", c.Server, c.From, most)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]RunningImage, 0, len(seen))
	for image := range seen {
		all = append(all, image)
	}
	slices.SortFunc(all, func(a, b RunningImage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	return all, nil
}

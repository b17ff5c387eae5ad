package rewriting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/kube"
)

// ErrNoLabels says that it is not known which namespaces opt out by their labels.
var ErrNoLabels = errors.New("the labels of namespaces could not be read")

// Pod is one that has not ended, as far as its images matter.
type Pod struct {
	Namespace, Name string
	// OptedOut is why its images are left as they are; empty: they are not.
	OptedOut Reason
	Images   []PodImage
}

// PodImage is an image of a pod.
type PodImage struct {
	kube.RunningImage
	From Origin
	// Repository, Tag and Digest are what it is here; empty where it is another registry's.
	// The digest is of what runs, and where that is not known the tag is told.
	Repository, Tag string
	// MirroredAt is when a node asked for it last by the name that its own registry gives it;
	// zero: it was not seen.
	MirroredAt time.Time
}

// Pods are those of all namespaces, in the order of these and of their names. Where it could
// not be found out which namespaces opt out by their labels they come with ErrNoLabels. The
// error says so when there are more than most.
func (i Installation) Pods(ctx context.Context, most int) ([]Pod, error) {
	var all []Pod
	err := eachPod(ctx, i.cluster, func(pod *corev1.Pod) error {
		if len(all) == most {
			return fmt.Errorf("there are more than %d pods", most)
		}
		all = append(all, i.pod(pod))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	quiet, err := i.quietNamespaces(ctx)
	if err != nil {
		return all, fmt.Errorf("%w: %w", ErrNoLabels, err)
	}
	for n := range all {
		if p := &all[n]; quiet[p.Namespace] && p.leavesSome() {
			p.optOut(ByLabel)
		}
	}
	return all, nil
}

// pod tells where the images of one come from, whatever the labels of its namespace are.
func (i Installation) pod(pod *corev1.Pod) Pod {
	p := Pod{Namespace: pod.Namespace, Name: pod.Name}
	seen := map[kube.RunningImage]bool{}
	for _, image := range kube.PodImages(pod) {
		if !seen[image] {
			p.Images = append(p.Images, PodImage{RunningImage: image, From: i.origin(image.Name, false)})
		}
		seen[image] = true
	}
	why := LeftAlone(i.OptOut, pod.Namespace, pod)
	if why == "" && HasSecrets(pod) {
		why = ByPullSecrets
	}
	if why != "" && p.leavesSome() {
		p.optOut(why)
	}
	return p
}

// leavesSome tells whether an image could be rewritten, and is not.
func (p *Pod) leavesSome() bool {
	return p.has(ByNode) || p.has(OptedOut)
}

func (p *Pod) optOut(why Reason) {
	p.OptedOut = why
	for n := range p.Images {
		if p.Images[n].From == ByNode {
			p.Images[n].From = OptedOut
		}
	}
}

// has tells whether an image comes from there.
func (p *Pod) has(from Origin) bool {
	return slices.ContainsFunc(p.Images, func(image PodImage) bool { return image.From == from })
}

// Namespace tells how the pods of one get their images. A pod counts wherever one of its
// images does.
type Namespace struct {
	Name                                 string
	Pods                                 int
	Rewritten, Hosted, ByNode, Elsewhere int
	// OptedOut are those whose images could be rewritten, but for a reason are not.
	OptedOut map[Reason]int
	// Mirrored are those with an image that nodes were seen pulling through their mirrors,
	// the last time at MirroredAt.
	Mirrored   int
	MirroredAt time.Time
}

// Namespaces adds up pods, in the order of the names of their namespaces.
func Namespaces(pods []Pod) []Namespace {
	by := map[string]*Namespace{}
	var names []string
	for _, p := range pods {
		n := by[p.Namespace]
		if n == nil {
			n = &Namespace{Name: p.Namespace, OptedOut: map[Reason]int{}}
			by[p.Namespace], names = n, append(names, p.Namespace)
		}
		n.add(p)
	}
	slices.Sort(names)
	all := make([]Namespace, 0, len(names))
	for _, name := range names {
		all = append(all, *by[name])
	}
	return all
}

func (n *Namespace) add(p Pod) {
	n.Pods++
	for from, count := range map[Origin]*int{Rewritten: &n.Rewritten, Hosted: &n.Hosted, ByNode: &n.ByNode, Elsewhere: &n.Elsewhere} {
		if p.has(from) {
			*count++
		}
	}
	if p.OptedOut != "" {
		n.OptedOut[p.OptedOut]++
	}
	mirrored := time.Time{}
	for _, image := range p.Images {
		if image.MirroredAt.After(mirrored) {
			mirrored = image.MirroredAt
		}
	}
	if mirrored.IsZero() {
		return
	}
	n.Mirrored++
	if mirrored.After(n.MirroredAt) {
		n.MirroredAt = mirrored
	}
}

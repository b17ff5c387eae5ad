package admission

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// subresourceEphemeral is by which containers are added to a running pod, as kubectl debug
// does.
const subresourceEphemeral = "ephemeralcontainers"

// The lists of a pod in which images stand.
const (
	containers = "/spec/containers/"
	initial    = "/spec/initContainers/"
	ephemeral  = "/spec/ephemeralContainers/"
	volumes    = "/spec/volumes/"
)

// image is one that a pod names, and where.
type image struct {
	list    string
	path    string // a JSON Pointer (RFC 6901)
	of      string // the container's name, or the volume's
	name    string
	becomes string
}

// imagesOf are the images that a request sets or changes. What was stored before stays as
// it is: most of a pod cannot be changed any more, and what can is not ours to change.
func imagesOf(subresource string, pod, before *corev1.Pod) []image {
	stored := map[string]string{}
	if before != nil {
		for _, i := range allImages(before) {
			stored[i.list+i.of] = i.name
		}
	}
	var set []image
	for _, i := range allImages(pod) {
		if was, known := stored[i.list+i.of]; known && was == i.name {
			continue
		}
		if (subresource == subresourceEphemeral) == (i.list == ephemeral) {
			set = append(set, i)
		}
	}
	return set
}

// allImages lists what a pod names, in the pod's order.
func allImages(pod *corev1.Pod) (all []image) {
	add := func(list string, at int, field, of, name string) {
		all = append(all, image{list: list, path: list + strconv.Itoa(at) + field, of: of, name: name})
	}
	for at, c := range pod.Spec.InitContainers {
		add(initial, at, "/image", c.Name, c.Image)
	}
	for at, c := range pod.Spec.Containers {
		add(containers, at, "/image", c.Name, c.Image)
	}
	for at, c := range pod.Spec.EphemeralContainers {
		add(ephemeral, at, "/image", c.Name, c.Image)
	}
	for at, v := range pod.Spec.Volumes {
		if v.Image != nil {
			add(volumes, at, "/image/reference", v.Name, v.Image.Reference)
		}
	}
	return all
}

package admission

import (
	"encoding/json"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/mirror"
)

const (
	// OriginalImages is the annotation that keeps what a pod asked for.
	OriginalImages = mirror.OriginalImages
	// maxOriginal bounds what is read back of it, in bytes: a cluster bounds all
	// annotations of an object to 256 KiB.
	maxOriginal = 64 << 10
)

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patchFor changes the images, and keeps the original ones in an annotation where the
// request can have one.
func patchFor(subresource string, pod *corev1.Pod, found []image) []operation {
	var patch []operation
	for _, i := range found {
		patch = append(patch, operation{Op: "replace", Path: i.path, Value: i.becomes})
	}
	if subresource != "" {
		return patch
	}
	note := original(pod.Annotations[OriginalImages], found)
	if pod.Annotations == nil {
		return append(patch, operation{Op: "add", Path: "/metadata/annotations", Value: map[string]string{OriginalImages: note}})
	}
	return append(patch, operation{Op: "add", Path: "/metadata/annotations/" + pointer(OriginalImages), Value: note})
}

// original adds to what was noted when the pod was reviewed before.
func original(noted string, found []image) string {
	all := map[string]string{}
	if len(noted) <= maxOriginal {
		var before map[string]string
		if json.Unmarshal([]byte(noted), &before) == nil { // else it is not ours
			maps.Copy(all, before)
		}
	}
	for _, i := range found {
		all[i.of] = i.name
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "{}"
	}
	return string(text)
}

// pointer escapes a key (RFC 6901, §3).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

package rewriting

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/mirror"
)

// Reason is why the images of a pod are left as they are.
type Reason string

// What a pod and the rules tell.
const (
	ByNamespace   Reason = "namespace" // its name, or a pattern of names
	ByLabel       Reason = "label"     // of the namespace
	ByAnnotation  Reason = "annotation"
	ByOwner       Reason = "owner" // whose controller compares images
	ByPullSecrets Reason = "pull_secrets"
	Static        Reason = "static" // a node has made it from a file
)

// LeftAlone is why no image of a pod is rewritten; empty: the pod tells of no reason. Its
// pull secrets are one only for images that are not known to be public.
func LeftAlone(o mirror.OptOut, namespace string, pod *corev1.Pod) Reason {
	_, static := pod.Annotations[corev1.MirrorPodAnnotationKey] // the API server shows what runs there already
	switch {
	case o.Namespace(namespace):
		return ByNamespace
	case o.Annotated(pod.Annotations):
		return ByAnnotation
	case static:
		return Static
	}
	for _, owner := range pod.OwnerReferences {
		if o.Owner(owner.APIVersion, owner.Kind) {
			return ByOwner
		}
	}
	return ""
}

// HasSecrets tells whether a pod brings credentials for other registries.
func HasSecrets(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.ImagePullSecrets, func(s corev1.LocalObjectReference) bool { return !mirror.IsOwnSecret(s.Name) })
}

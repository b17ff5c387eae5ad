package admission

import (
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/mirror"
)

// reason is why a pod keeps its images, as metrics have it.
type reason string

const (
	unreadable reason = "unreadable"
	notReady   reason = "not_ready"
	namespace  reason = "namespace"
	annotated  reason = "annotation"
	static     reason = "static"
	owned      reason = "owner"
	ownSecrets reason = "pull_secrets"
	notCached  reason = "not_cached"
	away       reason = "registry_away"
)

// text is what the audit log says.
func (r reason) text() string {
	return map[reason]string{
		unreadable: "the review could not be read as one of a pod",
		notReady:   "larder is not ready to serve images",
		namespace:  "the namespace is left alone",
		annotated:  "the pod's annotation opts out",
		static:     "it is a static pod of a node",
		owned:      "its controller compares the images of its pods",
		ownSecrets: "it has pull secrets of its own, for images that are not known to be public",
		notCached:  "no image is one that is cached or looked up",
		away:       "the registry does not answer",
	}[r]
}

// leave tells why nothing of a pod may be changed; it is empty when it may.
func (h *Handler) leave(request *admissionv1.AdmissionRequest, pod *corev1.Pod) reason {
	switch {
	case h.OptOut.Namespace(request.Namespace):
		return namespace
	case h.OptOut.Annotated(pod.Annotations):
		return annotated
	case isStatic(pod):
		return static
	case h.compared(pod.OwnerReferences):
		return owned
	}
	if err := h.Ready(); err != nil {
		h.Log.Warn("a pod keeps its images: this server is not ready to serve them", "namespace", request.Namespace, "error", err)
		return notReady
	}
	return ""
}

// isStatic tells of a pod that a node has made from a file: the API server shows what runs
// there already.
func isStatic(pod *corev1.Pod) bool {
	_, mirrored := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return mirrored
}

func (h *Handler) compared(owners []metav1.OwnerReference) bool {
	for _, owner := range owners {
		if h.OptOut.Owner(owner.APIVersion, owner.Kind) {
			return true
		}
	}
	return false
}

// hasSecrets tells whether a pod brings credentials for other registries.
func hasSecrets(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.ImagePullSecrets, func(s corev1.LocalObjectReference) bool { return !mirror.IsOwnSecret(s.Name) })
}

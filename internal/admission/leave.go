package admission

import (
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/rewriting"
)

// reason is why a pod keeps its images, as metrics have it.
type reason string

const (
	unreadable reason = "unreadable"
	notReady   reason = "not_ready"
	namespace         = reason(rewriting.ByNamespace)
	annotated         = reason(rewriting.ByAnnotation)
	static            = reason(rewriting.Static)
	owned             = reason(rewriting.ByOwner)
	ownSecrets        = reason(rewriting.ByPullSecrets)
	notCached  reason = "not_cached"
	again      reason = "reviewed_before"
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
		again:      "its images were rewritten when it was reviewed before",
		away:       "the registry does not answer",
	}[r]
}

// leave tells why nothing of a pod may be changed; it is empty when it may.
func (h *Handler) leave(request *admissionv1.AdmissionRequest, pod *corev1.Pod) reason {
	if why := rewriting.LeftAlone(h.OptOut, request.Namespace, pod); why != "" {
		return reason(why)
	}
	if err := h.Ready(); err != nil {
		h.Log.Warn("a pod keeps its images: this server is not ready to serve them", "namespace", request.Namespace, "error", err)
		return notReady
	}
	return ""
}

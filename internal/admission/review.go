package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/rewriting"
)

// Keys of what is written to the cluster's audit log; the API server puts the webhook's
// name before them.
const (
	auditRewritten = "rewritten" // how many images
	auditLeft      = "left"      // why none was
)

// review decides about one pod.
func (h *Handler) review(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	answer := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	pod, before, err := podsOf(request)
	if err != nil {
		h.Log.Warn("a pod could not be read and keeps its images", "namespace", request.Namespace, "name", request.Name, "error", err)
		return h.left(request, answer, unreadable)
	}
	if why := h.leave(request, pod); why != "" {
		return h.left(request, answer, why)
	}
	images := imagesOf(request.SubResource, pod, before)
	found, kept := h.rewritten(ctx, request.Namespace, pod, images)
	h.announce(request, pod, images, found)
	if len(found) == 0 {
		if kept == notCached && pod.Annotations[OriginalImages] != "" {
			kept = again
		}
		return h.left(request, answer, kept)
	}
	patch, err := json.Marshal(patchFor(request.SubResource, pod, found))
	if err != nil {
		h.Log.Error("a patch could not be written and its pod keeps its images", "namespace", request.Namespace, "error", err)
		return h.left(request, answer, unreadable)
	}
	how := admissionv1.PatchTypeJSONPatch
	answer.Patch, answer.PatchType = patch, &how
	answer.AuditAnnotations = map[string]string{auditRewritten: strconv.Itoa(len(found))}
	if h.Warn {
		answer.Warnings = warnings(found)
	}
	h.Metrics.rewrote(request, len(found))
	return answer
}

// left is the answer for a pod that stays as it is.
func (h *Handler) left(request *admissionv1.AdmissionRequest, answer *admissionv1.AdmissionResponse, why reason) *admissionv1.AdmissionResponse {
	h.Metrics.left(request, why)
	answer.AuditAnnotations = map[string]string{auditLeft: why.text()}
	return answer
}

// podsOf reads the pod, and what it was before.
func podsOf(request *admissionv1.AdmissionRequest) (pod, before *corev1.Pod, err error) {
	if request.Resource.Group != "" || request.Resource.Resource != "pods" {
		return nil, nil, fmt.Errorf("a review of %s, and not of pods", request.Resource.Resource)
	}
	pod = &corev1.Pod{}
	if err := json.Unmarshal(request.Object.Raw, pod); err != nil {
		return nil, nil, fmt.Errorf("reading a pod: %w", err)
	}
	if len(request.OldObject.Raw) == 0 {
		return pod, nil, nil
	}
	before = &corev1.Pod{}
	if err := json.Unmarshal(request.OldObject.Raw, before); err != nil {
		return nil, nil, fmt.Errorf("reading a pod as it was: %w", err)
	}
	return pod, before, nil
}

// rewritten are those of the images that are looked up or cached, under their new names.
// Kept says why there are none.
func (h *Handler) rewritten(ctx context.Context, namespace string, pod *corev1.Pod, images []image) (found []image, kept reason) {
	ctx, cancel := context.WithTimeout(ctx, lookupWithin)
	defer cancel()
	kept = notCached
	secrets, always := rewriting.HasSecrets(pod), pod.Annotations[ResolveNames] == AllNames
	for _, i := range images {
		if to, is := h.local(ctx, namespace, i.name, always); is {
			i.becomes = to
			found = append(found, i)
			continue
		}
		to, cached := h.Rules.Rewrite(i.name)
		if !cached {
			continue
		}
		// The secret is for the registry that the image names: nobody has said that
		// whoever has it may pull the same from here.
		if secrets && (h.Public == nil || !h.Public(i.name)) {
			kept = ownSecrets
			continue
		}
		i.becomes = to
		found = append(found, i)
	}
	return found, kept
}

func warnings(found []image) (all []string) {
	for _, i := range found {
		all = append(all, fmt.Sprintf("image %s is pulled as %s; the annotation %s: %s leaves it as it is",
			i.name, i.becomes, mirror.OptOutKey, mirror.Disabled))
	}
	return all
}

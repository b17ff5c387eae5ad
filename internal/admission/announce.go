package admission

import (
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pull is one that a node will make for a pod that was let in.
type Pull struct {
	// Image is its name as Larder serves it, without the host.
	Image string
	// Workload is what the pod belongs to, as in Deployment/web, as far as it tells.
	Namespace, Workload string
}

// announce tells of the images that are pulled through Larder: those that were rewritten,
// and those that name it already. A dry run makes no pod.
func (h *Handler) announce(request *admissionv1.AdmissionRequest, pod *corev1.Pod, images, found []image) {
	if h.Coming == nil || request.DryRun != nil && *request.DryRun {
		return
	}
	tell := func(name string) {
		if served, ours := strings.CutPrefix(name, h.Rules.Host+"/"); ours {
			h.Coming(Pull{Image: served, Namespace: request.Namespace, Workload: workloadOf(request, pod)})
		}
	}
	for _, i := range found {
		tell(i.becomes)
	}
	for _, i := range images {
		tell(i.name)
	}
}

// labelTemplateHash is by which a Deployment tells its ReplicaSets apart: their names end
// with it.
const labelTemplateHash = "pod-template-hash"

// workloadOf is the controller of a pod, or the pod itself. The Deployment of a ReplicaSet is
// told by the ReplicaSet's name.
func workloadOf(request *admissionv1.AdmissionRequest, pod *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		name := request.Name
		if name == "" {
			name = pod.Name + strings.TrimSuffix(pod.GenerateName, "-")
		}
		return "Pod/" + name
	}
	hash := pod.Labels[labelTemplateHash]
	if deployment, made := strings.CutSuffix(owner.Name, "-"+hash); made && hash != "" && owner.Kind == "ReplicaSet" {
		return "Deployment/" + deployment
	}
	return owner.Kind + "/" + owner.Name
}

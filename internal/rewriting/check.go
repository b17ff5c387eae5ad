package rewriting

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/mirror"
)

// Outcome is what came of something that was tried.
type Outcome string

// What can come of it.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Unknown Outcome = "unknown"
)

// Finding is one thing that was tried.
type Finding struct {
	What    string  `json:"what"`
	Outcome Outcome `json:"outcome"`
	// Seen is what was seen of it, Next what to do; Next is empty where all is well.
	Seen string `json:"seen"`
	Next string `json:"next,omitempty"`
}

// triedImage is small, and its program ends by itself.
const triedImage = "hello-world:latest"

// CheckSwitches tells whether what is installed is turned on.
func (i Installation) CheckSwitches(ctx context.Context) []Finding {
	if len(i.Switches)+len(i.Webhooks) == 0 {
		return []Finding{{
			"a policy or a webhook", Unknown, "neither is installed: no pod is changed",
			"larder kube policy or larder kube webhook prints one; with node mirrors alone none is needed",
		}}
	}
	var found []Finding
	for _, s := range i.Switches {
		f := Finding{What: "the policy's switch in namespace " + s.Namespace, Outcome: OK, Seen: "on"}
		var read corev1.ConfigMap
		switch err := s.Cluster.Get(ctx, s.path(), &read); {
		case err != nil:
			f.Outcome, f.Seen, f.Next = Failed, err.Error(), "apply again what larder kube policy prints"
		case read.Data[mirror.SwitchKey] == mirror.Unready:
			f.Outcome, f.Seen, f.Next = Failed, "the watcher has turned it off, since Larder is not ready", "see why: kubectl logs -n "+s.Namespace+" deployment/larder-watcher, and Larder's own log"
		case read.Data[mirror.SwitchKey] != mirror.On:
			f.Outcome, f.Seen, f.Next = Failed, fmt.Sprintf("somebody has turned it off (%q)", read.Data[mirror.SwitchKey]), "larder kube on"
		}
		found = append(found, f)
	}
	return found
}

// CheckPod makes a pod before and after by a dry run: one that opts out, and one that does
// not. Nothing is kept.
func (i Installation) CheckPod(ctx context.Context, namespace string) Finding {
	f := Finding{What: "a new pod in namespace " + namespace + ", by a dry run", Outcome: Failed}
	before, err := i.dryRun(ctx, namespace, map[string]string{mirror.OptOutKey: mirror.Disabled})
	if err != nil {
		f.Seen, f.Next = err.Error(), "name a namespace in which you may make pods with --in"
		return f
	}
	after, err := i.dryRun(ctx, namespace, nil)
	if err != nil {
		f.Seen, f.Next = err.Error(), "name a namespace in which you may make pods with --in"
		return f
	}
	was, is := before.Spec.Containers[0].Image, after.Spec.Containers[0].Image
	want, _ := i.Rules.Rewrite(triedImage)
	f.Seen = fmt.Sprintf("%s becomes %s", was, is)
	switch {
	case was != triedImage:
		f.Seen, f.Next = fmt.Sprintf("a pod that opts out gets %s for %s", was, triedImage), "something else than Larder changes images: kubectl get mutatingwebhookconfigurations"
	case is == want:
		f.Outcome = OK
		f.Seen += i.by(after)
	case is == was && len(i.Webhooks)+len(i.Switches) == 0:
		f.Outcome = Unknown
	case is == was:
		f.Seen = is + " stays as it is"
		f.Next = i.whyLeft(ctx, namespace)
	default:
		f.Next = fmt.Sprintf("it should become %s: print the policy or the webhook anew, and apply it", want)
	}
	return f
}

// by tells which of the ways has changed a pod.
func (i Installation) by(pod corev1.Pod) string {
	switch {
	case pod.Annotations[mirror.OriginalImages] != "":
		return ", by the webhook"
	case len(i.Webhooks) > 0:
		return ", by the policy, which comes before the webhook: the webhook had nothing left to do, and was not tried"
	}
	return ", by the policy"
}

// whyLeft is what can be told of a pod that was not changed, and what to do.
func (i Installation) whyLeft(ctx context.Context, namespace string) string {
	if i.OptOut.Namespace(namespace) {
		return "pods of this namespace are left alone by kubernetes.optOut.namespaces: name another with --in"
	}
	var read corev1.Namespace
	if err := i.cluster.Get(ctx, "/api/v1/namespaces/"+namespace, &read); err == nil && read.Labels[mirror.OptOutKey] == mirror.Disabled {
		return "the label " + mirror.OptOutKey + " of this namespace opts out: name another with --in"
	}
	if len(i.Webhooks) > 0 {
		next := "the webhook is turned off, or the API server does not reach it: larder kube on, then kubectl get --raw /metrics | grep webhook_fail_open, and the API server's log has \"failed calling webhook " + mirror.WebhookName + "\" with the reason"
		for _, c := range i.issued {
			next += "; a certificate that cert-manager has renewed from another CA reaches the pods within two minutes, kubectl describe certificate " + c.name + " -n " + c.namespace + " says when it was"
		}
		return next
	}
	return "the policy is turned off, or was applied a moment ago: larder kube on, and try again"
}

func (i Installation) dryRun(ctx context.Context, namespace string, annotations map[string]string) (corev1.Pod, error) {
	pod := checkPod(namespace, triedImage, annotations)
	pod.Name, pod.GenerateName = "larder-check", ""
	var made corev1.Pod
	err := i.cluster.Create(ctx, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", pod, &made)
	if err == nil && len(made.Spec.Containers) == 0 {
		err = fmt.Errorf("the API server made a pod without containers")
	}
	return made, err
}

// checkPod is one that any namespace takes, also those that restrict pods.
func checkPod(namespace, image string, annotations map[string]string) corev1.Pod {
	yes, no, user := true, false, int64(65532)
	return corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "larder-check-", Namespace: namespace, Annotations: annotations, Labels: map[string]string{"app.kubernetes.io/name": "larder-check"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
			Tolerations:     []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "check", Image: image, ImagePullPolicy: corev1.PullAlways,
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
}

// Nodes are the names of the first ones that are ready, in the API server's order.
func (i Installation) Nodes(ctx context.Context, most int) (names []string, all int, err error) {
	err = i.cluster.List(ctx, "/api/v1/nodes", func(item json.RawMessage) error {
		var node corev1.Node
		if err := json.Unmarshal(item, &node); err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				if all++; len(names) < most {
					names = append(names, node.Name)
				}
			}
		}
		return nil
	})
	return names, all, err
}

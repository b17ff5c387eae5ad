package rewriting

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

// Workload is what makes pods, or a pod that nothing made.
type Workload struct {
	// Kind and Group are as in StatefulSet and apps; the core group is empty.
	Kind      string `json:"kind"`
	Group     string `json:"group,omitempty"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is the workload as kubectl names it.
func (w Workload) String() string { return strings.ToLower(w.Kind) + "/" + w.Name }

// Restart is the line to type so that its pods are made anew, or what happens without one.
func (w Workload) Restart() string {
	switch w.Group + "/" + w.Kind {
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet":
		return fmt.Sprintf("kubectl rollout restart %s -n %s", w, w.Namespace)
	case "argoproj.io/Rollout":
		return fmt.Sprintf("kubectl argo rollouts restart %s -n %s", w.Name, w.Namespace)
	case "batch/Job":
		return fmt.Sprintf("# %s in namespace %s runs to its end with the images that it has", w, w.Namespace)
	case "batch/CronJob":
		return fmt.Sprintf("# %s in namespace %s has new pods at its next run", w, w.Namespace)
	case "/Pod":
		return fmt.Sprintf("# %s in namespace %s was made by nothing: delete it and make it anew", w, w.Namespace)
	}
	return fmt.Sprintf("# %s.%s in namespace %s: delete its pods, and its controller makes others", w, w.Group, w.Namespace)
}

// Using is a workload and how many of its pods were looked for.
type Using struct {
	Workload
	Pods int `json:"pods"`
}

// Rewritten tells whether an image of a pod was changed for the cache, as far as the pod
// says it: by the webhook's annotation, or by a name that the rules make.
func (i Installation) Rewritten(pod *corev1.Pod) bool {
	if pod.Annotations[mirror.OriginalImages] != "" {
		return true
	}
	return slices.ContainsFunc(imagesOf(pod), func(image string) bool { return i.origin(image, false) == Rewritten })
}

// UsesHost tells whether a pod names an image of Larder, and is no helper of Larder itself.
func (i Installation) UsesHost(pod *corev1.Pod) bool {
	if pod.Labels["app.kubernetes.io/part-of"] == "larder" {
		return false
	}
	return slices.ContainsFunc(imagesOf(pod), i.served)
}

// Workloads are those of the pods that are chosen and have not ended, in the order of their
// namespaces and names.
func (i Installation) Workloads(ctx context.Context, chosen func(*corev1.Pod) bool) ([]Using, error) {
	pods := map[Workload]int{}
	above := map[Workload]Workload{}
	err := eachPod(ctx, i.cluster, func(pod *corev1.Pod) error {
		if !chosen(pod) {
			return nil
		}
		owner, err := i.owner(ctx, pod, above)
		if err == nil {
			pods[owner]++
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []Using
	for _, w := range slices.SortedFunc(maps.Keys(pods), func(a, b Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	}) {
		all = append(all, Using{w, pods[w]})
	}
	return all, nil
}

// eachPod hands over those of all namespaces that have not ended.
func eachPod(ctx context.Context, cluster Cluster, each func(*corev1.Pod) error) error {
	return cluster.List(ctx, kube.RunningPods, func(item json.RawMessage) error {
		var pod corev1.Pod
		if err := json.Unmarshal(item, &pod); err != nil {
			return fmt.Errorf("reading a pod: %w", err)
		}
		return each(&pod)
	})
}

// owner is the workload at the top: a Deployment, where a ReplicaSet made the pod.
func (i Installation) owner(ctx context.Context, pod *corev1.Pod, known map[Workload]Workload) (Workload, error) {
	made := controller(pod.ObjectMeta)
	if made.Kind == "" {
		return Workload{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, nil
	}
	lists := map[string]string{"apps/ReplicaSet": "/apis/apps/v1/namespaces/%s/replicasets/%s", "batch/Job": "/apis/batch/v1/namespaces/%s/jobs/%s"}
	list := lists[made.Group+"/"+made.Kind]
	if top, is := known[made]; is || list == "" {
		return cmp.Or(top, made), nil
	}
	var read struct{ Metadata metav1.ObjectMeta }
	err := i.cluster.Get(ctx, fmt.Sprintf(list, made.Namespace, made.Name), &read)
	if err != nil && !errors.Is(err, kube.ErrNoObject) { // it may have gone meanwhile
		return Workload{}, fmt.Errorf("looking for what made pod %s: %w", pod.Name, err)
	}
	known[made] = cmp.Or(controller(read.Metadata), made)
	return known[made], nil
}

// controller is what an object was made by, nothing where it was made by nothing.
func controller(of metav1.ObjectMeta) Workload {
	made := metav1.GetControllerOfNoCopy(&of)
	if made == nil {
		return Workload{}
	}
	group, _, grouped := strings.Cut(made.APIVersion, "/")
	if !grouped {
		group = ""
	}
	return Workload{Kind: made.Kind, Group: group, Namespace: of.Namespace, Name: made.Name}
}

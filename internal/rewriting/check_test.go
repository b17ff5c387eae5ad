package rewriting_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/rewriting"
)

// acting is a cluster that does with pods what a test wants, as an API server and a node do.
type acting struct {
	*fake
	made  []corev1.Pod
	admit func(*corev1.Pod)
	node  corev1.PodStatus
	log   string
}

func (a *acting) Create(_ context.Context, path string, object, into any) error {
	pod := object.(corev1.Pod) //nolint:forcetypeassert // nothing else is made
	a.made = append(a.made, pod)
	if strings.HasSuffix(path, "?dryRun=All") {
		if a.admit != nil && pod.Annotations[mirror.OptOutKey] == "" {
			a.admit(&pod)
		}
	} else {
		pod.Name, pod.Status = pod.GenerateName+"x", a.node
		text, err := json.Marshal(pod)
		if err != nil {
			return err
		}
		a.objects[path+"/"+pod.Name] = string(text)
	}
	*into.(*corev1.Pod) = pod //nolint:forcetypeassert // nothing else is read
	return nil
}

func (a *acting) Delete(ctx context.Context, path string) error {
	path, _, _ = strings.Cut(path, "?")
	return a.fake.Delete(ctx, path)
}

func (a *acting) Log(context.Context, string, int64) (string, error) { return a.log, nil }

func newActing(t *testing.T) (*acting, rewriting.Installation) {
	t.Helper()
	a := &acting{fake: newFake(t, installed())}
	i, err := rewriting.Look(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return a, i
}

func TestACheckTriesANewPodBeforeAndAfter(t *testing.T) {
	const after = "registry.example.com/docker-hub/library/hello-world:latest"
	by := func(image string, annotated bool) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.Containers = []corev1.Container{{Image: image}}
			if annotated {
				pod.Annotations = map[string]string{mirror.OriginalImages: "{}"}
			}
		}
	}
	tests := []struct {
		name      string
		admit     func(*corev1.Pod)
		namespace string
		want      rewriting.Outcome
		seen      string
		next      string
	}{
		{"the webhook rewrites", by(after, true), "demo", rewriting.OK, "hello-world:latest becomes " + after + ", by the webhook", ""},
		{"the policy rewrites", by(after, false), "demo", rewriting.OK, "by the policy, which comes before the webhook", ""},
		{"nothing rewrites", nil, "demo", rewriting.Failed, "hello-world:latest stays as it is", "failed calling webhook images.larder.dev"},
		{"the namespace opts out by its name", nil, "kube-public", rewriting.Failed, "stays", "kubernetes.optOut.namespaces"},
		{"another name", by("registry.example.com/other:1", true), "demo", rewriting.Failed, "other:1", "it should become " + after},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, i := newActing(t)
			a.admit = tt.admit
			got := i.CheckPod(t.Context(), tt.namespace)
			if got.Outcome != tt.want || !strings.Contains(got.Seen, tt.seen) || !strings.Contains(got.Next, tt.next) {
				t.Errorf("%+v", got)
			}
			if len(a.made) != 2 {
				t.Errorf("%d pods were tried", len(a.made))
			}
		})
	}
}

func TestACheckSaysWhoHasTurnedThePolicyOff(t *testing.T) {
	for says, want := range map[string]string{"true": "ok on ", "false": "failed somebody has turned it off", "unready": "failed the watcher has turned it off"} {
		a, i := newActing(t)
		a.objects["/api/v1/namespaces/larder/configmaps/larder-rewriting"] = `{"data":{"enabled":"` + says + `"}}`
		found := i.CheckSwitches(t.Context())
		if len(found) != 1 || !strings.HasPrefix(string(found[0].Outcome)+" "+found[0].Seen+" ", want) {
			t.Errorf("%s: %+v", says, found)
		}
	}
}

// waiting is what a node says of a pod whose image it cannot pull.
func waiting(message string) corev1.PodStatus {
	return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: message}},
	}}}
}

func TestACheckHasANodePullAndSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name       string
		node       corev1.PodStatus
		want       rewriting.Outcome
		seen, next string
	}{
		{"pulled", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}}, rewriting.OK, "was pulled within", ""},
		{"DNS", waiting(`dial tcp: lookup registry.example.com on 10.0.0.2:53: no such host`), rewriting.Failed, "(DNS)", "add a record for registry.example.com"},
		{"a resolver that does not answer", waiting(`Head "https://registry.example.com/v2/": dial tcp: lookup registry.example.com on 10.0.0.2:53: read udp 10.0.0.9:49890->10.0.0.2:53: i/o timeout`), rewriting.Failed, "(DNS)", "add a record for registry.example.com"},
		{"a resolver that is not there", waiting(`dial tcp: lookup registry.example.com on 10.0.0.2:53: read udp 10.0.0.9:49890->10.0.0.2:53: read: connection refused`), rewriting.Failed, "(DNS)", "add a record for registry.example.com"},
		{"trust", waiting("tls: failed to verify certificate: x509: certificate signed by unknown authority"), rewriting.Failed, "does not trust", "larder mirrors --for containerd --url https://registry.example.com --ca larder-ca.crt --to /"},
		{"reach", waiting("dial tcp 10.0.0.1:443: connect: connection refused"), rewriting.Failed, "does not reach", "larder registry info"},
		{"reach, by a port with the number of a status", waiting("dial tcp 10.0.0.1:40312: connect: connection refused"), rewriting.Failed, "does not reach", "larder registry info"},
		{"login", waiting("pull access denied: authorization failed"), rewriting.Failed, "refuses the node", "system:image-puller system:unauthenticated -n docker-hub"},
		{"the upstream is down", waiting("unexpected status from HEAD request to https://registry.example.com/v2/x: 502 Bad Gateway"), rewriting.Failed, "cannot give the image now", "larder upstream status"},
		{"the reason comes last", waiting("failed to resolve " + strings.Repeat("a/long/name/", 50) + ": x509: unknown authority"), rewriting.Failed, ": x509: unknown authority", "--ca larder-ca.crt"},
		{"a folder of the node's own", waiting("mkdir /var/lib/containerd/x: permission denied"), rewriting.Failed, "the node cannot pull", "what its runtime says"},
		{"pulled, and not started", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "RunContainerError", Message: "no such file or directory"}},
		}}}, rewriting.OK, "was pulled within", ""},
		{"something else", waiting("no space left on device"), rewriting.Failed, "no space left on device", "larder explain"},
		{"no kubelet", corev1.PodStatus{Phase: corev1.PodPending}, rewriting.Unknown, "nothing was heard", "--timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, i := newActing(t)
			a.node = tt.node
			got := i.CheckPull(t.Context(), "demo", "n1", 1500*time.Millisecond)
			if got.Outcome != tt.want || !strings.Contains(got.Seen, tt.seen) || !strings.Contains(got.Next, tt.next) {
				t.Errorf("%+v", got)
			}
			pod := a.made[0]
			if pod.Spec.NodeName != "n1" || pod.Spec.Containers[0].Image != "registry.example.com/docker-hub/library/hello-world:latest" {
				t.Errorf("the pod is %+v", pod.Spec)
			}
			if len(a.deleted) != 1 {
				t.Errorf("there was removed %v", a.deleted)
			}
		})
	}
}

func TestACheckSaysWhatKeepsANodeFromMakingPods(t *testing.T) {
	a, i := newActing(t)
	a.node = corev1.PodStatus{Phase: corev1.PodPending}
	for name, event := range map[string]string{
		"first": `{"lastTimestamp":"2026-01-02T03:04:05Z","message":"an older one"}`,
		"last":  `{"lastTimestamp":"2026-01-02T03:04:06Z","message":"failed to setup network for sandbox: no plugin"}`,
	} {
		a.objects["/api/v1/namespaces/demo/events/"+name] = event
	}
	got := i.CheckPull(t.Context(), "demo", "n1", 1500*time.Millisecond)
	if got.Outcome != rewriting.Failed || !strings.Contains(got.Seen, "did not come to pull it: failed to setup network") || !strings.Contains(got.Next, "kubectl describe node") {
		t.Errorf("%+v", got)
	}
}

func TestACheckReadsFromTheNodesPodWhetherContainerdReadsTheMirrors(t *testing.T) {
	const line = `{"msg":"whether containerd reads them","reads":"%","why":"config_path is \"\""}` + "\n"
	tests := []struct {
		name, log string
		daemon    bool
		want      rewriting.Outcome
		seen      string
	}{
		{"no DaemonSet", "", false, rewriting.Unknown, "cannot be seen from here"},
		{"nothing said", "", true, rewriting.Unknown, "has not said it yet"},
		{"the last word counts", strings.ReplaceAll(line, "%", "no") + strings.ReplaceAll(line, "%", "yes"), true, rewriting.OK, `config_path is ""`},
		{"not read", strings.ReplaceAll(line, "%", "no"), true, rewriting.Failed, `config_path is ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, i := newActing(t)
			a.log = tt.log
			if tt.daemon {
				a.objects["/api/v1/namespaces/larder/pods/larder-nodes-1"] = `{"metadata":{"name":"larder-nodes-1","namespace":"larder"}}`
			}
			got := i.CheckMirror(t.Context(), a, "n1")
			if got.Outcome != tt.want || !strings.Contains(got.Seen, tt.seen) || (got.Outcome != rewriting.OK) != (got.Next != "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

package mirror_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

// takesEffect bounds how long an API server on a busy machine takes to heed a policy.
const takesEffect = time.Minute

// cluster is a real API server.
type cluster struct {
	*kubeserver.Server
	t *testing.T
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	server, err := kubeserver.Start(t.Context(), kubeserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c := &cluster{server, t}
	for _, namespace := range []string{"demo", "larder", "ci-1", "alone"} {
		c.kubectl("", "create", "namespace", namespace)
		c.kubectl("", "create", "serviceaccount", "default", "-n", namespace)
	}
	return c
}

// kubectl runs it with an input and returns what it printed.
func (c *cluster) kubectl(input string, args ...string) string {
	c.t.Helper()
	out, err := c.try(input, args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (c *cluster) try(input string, args ...string) (string, error) {
	command := exec.CommandContext(c.t.Context(), c.Kubectl, append([]string{"--kubeconfig", c.Admin}, args...)...)
	command.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, stderr.String())
	}
	return string(out), nil
}

// pod has a container for each image.
func pod(namespace string, images ...string) corev1.Pod {
	p := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "tried", Namespace: namespace},
	}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	return p
}

// made is the pod that the API server would make.
func (c *cluster) made(p corev1.Pod) (made corev1.Pod) {
	c.t.Helper()
	input, err := json.Marshal(p)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(c.kubectl(string(input), "create", "--dry-run=server", "-o", "json", "-f", "-")), &made); err != nil {
		c.t.Fatal(err)
	}
	return made
}

// await waits until the first image of a pod becomes what is wanted: the API server hears of
// changes a moment later.
func (c *cluster) await(p corev1.Pod, want string) {
	c.t.Helper()
	for deadline := time.Now().Add(takesEffect); ; time.Sleep(100 * time.Millisecond) {
		got := c.made(p).Spec.Containers[0].Image
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("after %s %s becomes %s, want %s", takesEffect, p.Spec.Containers[0].Image, got, want)
		}
	}
}

// accepted are the images that an API server lets a container have at all.
func accepted() []string {
	var all []string
	for _, image := range slices.Sorted(maps.Keys(images())) {
		if strings.TrimSpace(image) == image && image != "" {
			all = append(all, image)
		}
	}
	return all
}

func TestThePolicyOfAnAPIServerRewritesAsTheRulesDo(t *testing.T) {
	c := newCluster(t)
	policy, err := mirror.Policy(rules(), optOut(), "larder")
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl(policy, "apply", "--validate=strict", "-f", "-")
	c.await(pod("demo", "nginx"), hub+"library/nginx:latest")
	t.Run("every image", func(t *testing.T) {
		all := accepted()
		for i, container := range c.made(pod("demo", all...)).Spec.Containers {
			if want, _ := rules().Rewrite(all[i]); container.Image != want {
				t.Errorf("%q became %q, want %q", all[i], container.Image, want)
			}
		}
	})
	t.Run("every place", func(t *testing.T) { c.everyPlace(t) })
	t.Run("opting out", func(t *testing.T) { c.optingOut(t) })
	t.Run("a running pod", func(t *testing.T) { c.runningPod(t) })
	t.Run("turned off and on", func(t *testing.T) {
		c.t = t
		for _, is := range []struct{ enabled, image string }{{"false", "nginx"}, {"true", hub + "library/nginx:latest"}} {
			c.kubectl("", "patch", "configmap", "larder-rewriting", "-n", "larder", "--type=merge", "-p", `{"data":{"enabled":"`+is.enabled+`"}}`)
			c.await(pod("demo", "nginx"), is.image)
		}
	})
}

func (c *cluster) everyPlace(t *testing.T) {
	c.t = t
	own := pod("demo", "nginx")
	own.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "larder-pull-default"}}
	c.await(own, hub+"library/nginx:latest")
	p := pod("demo", "nginx")
	p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "busybox:1"}}
	p.Spec.Volumes = []corev1.Volume{
		{Name: "none"},
		{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "acme/data:1"}}},
	}
	made := c.made(p).Spec
	got := []string{made.InitContainers[0].Image, made.Containers[0].Image, made.Volumes[1].Image.Reference}
	if want := []string{hub + "library/busybox:1", hub + "library/nginx:latest", hub + "acme/data:1"}; !slices.Equal(got, want) {
		t.Errorf("the images became %q, want %q", got, want)
	}
}

func (c *cluster) optingOut(t *testing.T) {
	c.t = t
	c.kubectl("", "label", "namespace", "alone", mirror.OptOutKey+"="+mirror.Disabled)
	tests := map[string]struct {
		namespace string
		change    func(*corev1.Pod)
	}{
		"the annotation": {"demo", func(p *corev1.Pod) { p.Annotations = map[string]string{mirror.OptOutKey: mirror.Disabled} }},
		"another's annotation": {"demo", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"idp.jppol.dk/ecr-pull-through-cache": "disabled"}
		}},
		"Larder's namespace":  {"larder", func(*corev1.Pod) {}},
		"a pattern":           {"ci-1", func(*corev1.Pod) {}},
		"a namespace's label": {"alone", func(*corev1.Pod) {}},
		"pull secrets":        {"demo", func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub"}} }},
		"a pull secret beside Larder's": {"demo", func(p *corev1.Pod) {
			p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "larder-pull-default"}, {Name: "hub"}}
		}},
		"an owner": {"demo", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "postgresql.cnpg.io/v1", Kind: "Cluster", Name: "db", UID: "1"}}
		}},
	}
	for name, tt := range tests {
		p := pod(tt.namespace, "nginx")
		tt.change(&p)
		t.Run(name, func(t *testing.T) { (&cluster{c.Server, t}).await(p, "nginx") })
	}
}

func (c *cluster) runningPod(t *testing.T) {
	c.t = t
	image := func() string {
		return c.kubectl("", "get", "pod", "p", "-n", "demo", "-o", "jsonpath={.spec.containers[0].image}")
	}
	running := pod("demo", "nginx:1")
	running.Name = "p"
	manifest, err := json.Marshal(running)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is an update
		c.kubectl(string(manifest), "apply", "-f", "-")
		if got := image(); got != hub+"library/nginx:1" {
			t.Errorf("the pod has %s", got)
		}
	}
	c.kubectl("", "set", "image", "pod/p", "c0=nginx:2", "-n", "demo")
	if got := image(); got != hub+"library/nginx:2" {
		t.Errorf("after an update the pod has %s", got)
	}
	c.kubectl("", "debug", "p", "-n", "demo", "--image=busybox", "--container=d", "--profile=general", "--attach=false")
	if got := c.kubectl("", "get", "pod", "p", "-n", "demo", "-o", "jsonpath={.spec.ephemeralContainers[0].image}"); got != hub+"library/busybox:latest" {
		t.Errorf("a debugger has the image %s", got)
	}
}

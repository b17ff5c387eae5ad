package e2e_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// newPolicyStack is a stack whose rules the API server follows by itself.
func (c *cluster) newPolicyStack() *stack {
	c.t.Helper()
	s := newStack(c.t, hubsim.Options{}, "publicURL: https://"+rewrittenHost, "listen: "+testkit.NewAddress(c.t))
	s.larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	c.kubectl.runWith(s.larder.run("kube", "policy", "--image", "larder:test"), "apply", "--validate=strict", "--filename", "-")
	return s
}

// enabled is what the policy's switch says.
func (c *cluster) enabled() string {
	c.t.Helper()
	return c.kubectl.run("get", "configmap", "larder-rewriting", "--namespace", "larder", "--output=jsonpath={.data.enabled}")
}

// The watcher runs with the rights of its own service account, and no others.
func TestThePolicyIsOffWhileLarderIsGoneAndOnAgainAfterwards(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	s := c.newPolicyStack()
	c.await("demo", "nginx", cached+"library/nginx:latest")
	kubeconfig, err := c.Kubeconfig("watcher", c.token("larder", "larder-watcher"))
	if err != nil {
		t.Fatal(err)
	}
	watcher := startDaemon(newLarder(t), "kube", "watch", "--url", "http://"+s.main, "--kubeconfig", kubeconfig, "--every", "1s")
	watcher.await("watching")

	began := time.Now()
	s.daemon.signalGroup(syscall.SIGKILL)
	<-s.daemon.ended
	for c.enabled() == "true" {
		if time.Since(began) > time.Minute {
			t.Fatal("the policy stays on")
		}
		time.Sleep(200 * time.Millisecond)
	}
	if took := time.Since(began); took < 29*time.Second {
		t.Errorf("the policy was turned off after %s already", took)
	} else {
		t.Logf("the policy was turned off after %s", took.Round(time.Second))
	}
	c.await("demo", "nginx", "nginx")

	s.start()
	for began = time.Now(); c.enabled() != "true"; time.Sleep(200 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the policy stays off")
		}
	}
	c.await("demo", "nginx", cached+"library/nginx:latest")

	c.kubectl.run("patch", "configmap", "larder-rewriting", "--namespace", "larder", "--type=merge", `--patch={"data":{"enabled":"false"}}`)
	time.Sleep(15 * time.Second) // longer than the watcher waits before it turns on what it has turned off
	if got := c.enabled(); got != "false" {
		t.Errorf("what somebody has turned off says %s", got)
	}
	if text := s.larder.fails("kube", "watch", "--url", "http://"+s.main, "--kubeconfig", "/not/there"); !strings.Contains(text, "/not/there") {
		t.Errorf("without a cluster it says %s", text)
	}
}

// The commands speak to the cluster alone: Larder is gone before they are run.
func TestRewritingIsTurnedOffListedAndRemovedWhileLarderIsGone(t *testing.T) {
	t.Parallel()
	c := newCluster(t, podMakers()...)
	c.namespaces("demo")
	s, _ := c.newRewritingStack()
	c.kubectl.runWith(s.larder.run("kube", "policy", "--image", "larder:test"), "apply", "--validate=strict", "--filename", "-")
	c.await("demo", "nginx", cached+"library/nginx:latest")
	c.kubectl.runWith(workloads, "apply", "--namespace", "demo", "--filename", "-")
	c.kubectl.run("run", "other", "--namespace", "demo", "--image", "quay.io/a/b:1")
	c.kubectl.run("wait", "--for=create", "pod/statefulset-0", "--namespace", "demo", "--timeout=120s")
	for _, kind := range []string{"deployment", "job"} {
		c.kubectl.run("wait", "--for=create", "pod", "--selector=app="+kind, "--namespace", "demo", "--timeout=120s")
	}
	s.larder.env = append(s.larder.env, "KUBECONFIG="+c.Admin)
	c.checked(s)
	if err := s.daemon.terminate(); err != nil {
		t.Fatal(err)
	}

	wants(t, s.larder.run("kube", "images"), cached+"library/nginx:latest   rewritten   4      demo")
	refused := s.larder.fails("kube", "uninstall")
	wants(t, refused, "nothing was removed")
	wants(t, refused, "kubectl rollout restart deployment/deployment -n demo  (1 pod)")

	off := s.larder.run("kube", "off")
	wants(t, s.larder.fails("kube", "check", "--in", "demo", "--nodes", "0"), "somebody has turned it off")
	for _, want := range []string{
		"policy, by configmap/larder-rewriting in namespace larder: off, was on", "mutatingwebhookconfiguration/larder: off, was on",
		"\nkubectl rollout restart deployment/deployment -n demo\n", "\nkubectl rollout restart statefulset/statefulset -n demo\n",
		"\n# pod/pod in namespace demo was made by nothing: delete it and make it anew\n", "\n# job/job in namespace demo runs to its end",
	} {
		wants(t, off, want)
	}
	c.await("demo", "nginx", "nginx")
	wants(t, s.larder.run("kube", "on"), "mutatingwebhookconfiguration/larder: on, was off")
	c.await("demo", "nginx", cached+"library/nginx:latest")

	s.larder.run("kube", "off")
	c.await("demo", "nginx", "nginx")
	c.do("kubectl delete deployment/deployment statefulset/statefulset job/job --namespace demo --cascade=background",
		"kubectl delete pods --all --namespace demo --force")
	removed := s.larder.run("kube", "uninstall")
	for _, want := range []string{"mutatingwebhookconfigurations/larder removed", "mutatingadmissionpolicies/larder removed", "deployments/larder-watcher in namespace larder removed"} {
		wants(t, removed, want)
	}
	wants(t, s.larder.run("kube", "uninstall"), "Nothing of it is installed")
	c.do("kubectl get serviceaccount larder --namespace larder") // what is Larder's own stays
}

// checked tries larder kube check, on a node on which no kubelet is.
func (c *cluster) checked(s *stack) {
	c.t.Helper()
	c.kubectl.runWith("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n", "create", "--filename", "-")
	c.kubectl.run("patch", "node", "n1", "--subresource=status", `--patch={"status":{"conditions":[{"type":"Ready","status":"True","reason":"x","message":"x"}]}}`)
	check := s.larder.run("kube", "check", "--in", "demo", "--timeout", "3s")
	for _, want := range []string{
		"ok       the policy's switch in namespace larder: on",
		"hello-world:latest becomes " + cached + "library/hello-world:latest, by the policy",
		"unknown  DNS, trust and a pull on node n1: nothing was heard of the pull within 3s",
		"unknown  whether containerd reads config_path on node n1: it cannot be seen from here",
		"grep config_path /etc/containerd/config.toml",
	} {
		wants(c.t, check, want)
	}
	if left := c.kubectl.run("get", "pods", "--namespace", "demo", "--selector=app.kubernetes.io/name=larder-check", "--output=name"); left != "" {
		c.t.Errorf("%s was left", left)
	}
}

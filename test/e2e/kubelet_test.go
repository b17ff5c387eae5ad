//go:build kubelet

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// becomesLimit bounds what a kubelet may take for a pod: it tries a pull again after 10, 20
// and 40 seconds.
const becomesLimit = 2 * time.Minute

// nodeStack is a cluster with a node, and Larder with a certificate of its own authority. The
// node knows Larder's name, and trusts nothing yet.
type nodeStack struct {
	*stack
	c *cluster
	n *node
	// host is what images of Larder's begin with.
	host string
	// client is the program of somebody logged in as admin on the node.
	client *program
}

func newNodeStack(t *testing.T, config ...string) *nodeStack {
	t.Helper()
	c, n := newNodeCluster(t, append(podMakers(), "daemonset-controller", "root-ca-certificate-publisher-controller")...)
	n.knows(rewrittenHost)
	n.setUp()
	c.kubectl.run("apply", "--filename", shippedFile(t, "pull-secrets.yaml"), "--validate=strict")
	listen := testkit.NewAddress(t)
	s := &nodeStack{c: c, n: n, host: rewrittenHost + ":" + portOf(t, listen)}
	s.stack = newStack(t, hubsim.Options{}, append([]string{
		"listen: " + listen, "publicURL: https://" + s.host, "tls: {selfSigned: true}", "kubernetes:", "  kubeconfig: " + c.larderConfig(),
	}, config...)...)
	s.client = n.in(s.larder)
	s.client.runWith(adminPassword, "login", "https://"+s.host, "-u", "admin", "--password-stdin", "--certificate-authority", s.authority())
	return s
}

// authority is the path of the certificate by which Larder is trusted.
func (s *nodeStack) authority() string {
	return filepath.Join(s.larder.home, "larder-data", "tls", "ca.crt")
}

// trust has the node trust Larder by the line that it prints for containerd.
func (s *nodeStack) trust() {
	s.t.Helper()
	line := s.daemon.await(`# containerd\n\s+(sudo .*)\n`)[1]
	s.n.in(newProgram(s.t, "sh")).run("-c", strings.ReplaceAll(line, "sudo ", ""))
}

// push pushes an image under tag 1, and returns its name.
func (s *nodeStack) push(repository string, image v1.Image) string {
	s.t.Helper()
	to := s.host + "/" + repository + ":1"
	s.client.run("copy", "oci:"+imageFolder(s.t, image)+":1", to)
	return to
}

// place does what a scheduler does, and returns the pod that fits the selector.
func (c *cluster) place(namespace, selector string) (pod string) {
	c.t.Helper()
	c.kubectl.run("wait", "--for=create", "pod", "--selector="+selector, "-n", namespace, "--timeout=50s")
	pod = c.kubectl.run("get", "pods", "--selector="+selector, "-n", namespace, "-o", "jsonpath={.items[0].metadata.name}")
	binding := `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"` + pod + `"},"target":{"apiVersion":"v1","kind":"Node","name":"` + nodeName + `"}}`
	c.kubectl.runWith(binding, "create", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/binding", "--filename", "-")
	return pod
}

// running makes a Deployment that says nothing but its image, with its pod on the node.
func (c *cluster) running(namespace, name, image string) (pod string) {
	c.t.Helper()
	c.kubectl.run("create", "deployment", name, "-n", namespace, "--image", image)
	return c.place(namespace, "app="+name)
}

// state is what a node says of a pod's container: Running, or why it waits.
func (c *cluster) state(namespace, pod string) string {
	c.t.Helper()
	var read struct {
		Status struct {
			ContainerStatuses []struct {
				RestartCount int
				State        struct {
					Running *struct{}
					Waiting struct{ Reason, Message string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(c.kubectl.run("get", "pod", pod, "-n", namespace, "-o", "json")), &read); err != nil {
		c.t.Fatal(err)
	}
	if len(read.Status.ContainerStatuses) == 0 {
		return ""
	}
	s := read.Status.ContainerStatuses[0]
	if s.State.Running != nil {
		return fmt.Sprintf("Running after %d restarts", s.RestartCount)
	}
	return s.State.Waiting.Reason + ": " + s.State.Waiting.Message
}

// becomes waits until a node says something of a pod, as Running, or a part of why it waits.
func (c *cluster) becomes(namespace, pod string, want ...string) (got string) {
	c.t.Helper()
	for deadline := time.Now().Add(becomesLimit); time.Now().Before(deadline); time.Sleep(250 * time.Millisecond) {
		got = c.state(namespace, pod)
		for _, w := range want {
			if strings.Contains(got, w) {
				return got
			}
		}
	}
	c.t.Fatalf("pod %s of namespace %s is %q, want one of %q\n%s", pod, namespace, got, want, c.kubectl.run("get", "events", "-n", namespace))
	return ""
}

// Push, deploy, Running, with nothing in the manifest, in the project's own namespace and in
// another one before and after the grant.
func TestAKubeletRunsPrivateImagesWithNothingInTheirManifests(t *testing.T) {
	ways := map[string]struct {
		config []string
		open   func(s *nodeStack)
	}{
		"by pull secrets": {[]string{"  pullSecrets: true"}, func(s *nodeStack) {
			for _, namespace := range []string{"demo", "shop"} {
				s.c.optIn(namespace)
				s.c.awaitSecret(namespace, "larder-pull-default")
			}
		}},
		"by the credential provider": {[]string{"  serviceAccountTokens: true", "  audiences: [" + rewrittenHost + "]"}, (*nodeStack).provideCredentials},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := newNodeStack(t, way.config...)
			s.trust()
			for _, project := range []string{"demo", "shop"} {
				s.c.namespaces(project)
				s.client.run("new-project", project)
			}
			image := s.push("demo/app", runnable(t, "app"))
			s.c.becomes("demo", s.c.running("demo", "before", image), "authorization failed", "not found")
			way.open(s)

			s.c.becomes("demo", s.c.running("demo", "app", image), "Running")
			if got := s.c.kubectl.run("get", "deployment", "app", "-n", "demo", "-o", "jsonpath={.spec.template.spec.imagePullSecrets}"); got != "" {
				t.Errorf("the manifest has %s", got)
			}
			other := s.c.running("shop", "app", image)
			s.c.becomes("shop", other, "ErrImagePull", "ImagePullBackOff")
			s.client.run("policy", "add-role-to-group", "system:image-puller", "system:serviceaccounts:shop", "-n", "demo")
			s.c.becomes("shop", other, "Running")
		})
	}
}

// provideCredentials is what the documentation says to do on a node, and on the cluster.
func (s *nodeStack) provideCredentials() {
	s.t.Helper()
	const plugins, config = "/var/lib/larder-plugins", "/etc/kubernetes/credential-provider.yaml"
	printed := s.client.run("kube", "credential-provider", "config", "--audience", rewrittenHost)
	s.n.write(config, printed)
	s.n.write(filepath.Join(plugins, "larder"), read(s.t, os.Getenv(binaryVariable)))
	_, role, _ := strings.Cut(printed, "system:nodes:\n#\n")
	role, _, _ = strings.Cut(role, "\napiVersion: kubelet")
	s.c.kubectl.runWith(strings.ReplaceAll(role, "#   ", ""), "apply", "--validate=strict", "--filename", "-")
	s.c.do("kubectl create clusterrolebinding larder-node-tokens --clusterrole=larder-node-tokens --group=system:nodes")
	s.n.startKubelet("--image-credential-provider-bin-dir="+plugins, "--image-credential-provider-config="+config)
}

// check is larder kube check, which tries the node.
func (s *nodeStack) check() (code int, said string) {
	s.t.Helper()
	r := s.client.try("", "kube", "check", "--kubeconfig", s.c.Admin, "--in", "demo", "--timeout", "20s")
	return r.code, r.both()
}

// finds wants the check to find something.
func (s *nodeStack) finds(wantCode int, want ...string) {
	s.t.Helper()
	code, said := s.check()
	for _, w := range want {
		wants(s.t, said, w)
	}
	if code != wantCode {
		s.t.Errorf("the exit status is %d, want %d:\n%s", code, wantCode, said)
	}
}

func TestACheckSaysWhatARealKubeletMeets(t *testing.T) {
	webhook := testkit.NewAddress(t)
	s := newNodeStack(t, "  listen: "+webhook)
	s.c.namespaces("demo")
	s.addToHub("library/hello-world", "latest", runnable(t, "hello-world"))
	s.c.kubectl.runWith(s.client.run("kube", "webhook", "--url", "https://"+webhook), "apply", "--validate=strict", "--filename", "-")
	s.c.await("demo", "nginx", s.host+"/docker-hub/library/nginx:latest")
	rewritten := "becomes " + s.host + "/docker-hub/library/hello-world:latest, by the webhook"

	s.n.knows()
	s.finds(1, rewritten, "the node does not know the name (DNS)", "add a record for "+rewrittenHost+"\n")
	s.n.knows(rewrittenHost)
	s.await(func() bool { _, said := s.check(); return !strings.Contains(said, "(DNS)") }) // names are kept for some seconds
	s.finds(1, "the node does not trust the certificate", "larder mirrors --for containerd --url https://"+s.host+" --ca larder-ca.crt --to /")
	s.trust()
	s.finds(0, rewritten, "hello-world:latest was pulled within", "cannot be seen from here without the DaemonSet")

	s.client.run("new-project", "larder")
	s.client.run("policy", "add-role-to-group", "system:image-puller", "system:unauthenticated", "-n", "larder")
	image := s.push("larder/larder", imageOf(t, os.Getenv(binaryVariable), "larder"))
	s.c.kubectl.runWith(s.client.run("kube", "nodes", "--image", image, "--ca", s.authority()), "apply", "--validate=strict", "--filename", "-")
	s.c.becomes("larder", s.c.place("larder", "app.kubernetes.io/name=larder-nodes"), "Running")
	read := func(verdict string) func() bool {
		return func() bool { _, said := s.check(); return strings.Contains(said, verdict) }
	}
	s.await(read("config_path of /etc/containerd/config.toml has it"))
	s.finds(0, "ok       whether containerd reads config_path on node localhost: config_path of /etc/containerd/config.toml has it")

	s.n.startContainerd("")
	s.await(read(`config_path of containerd's configuration is ""`))
	s.finds(1, "failed   whether containerd reads config_path on node localhost", `config_path = "`+certsFolder+`"`)
	s.n.startContainerd(certsFolder)

	if err := os.Remove(filepath.Join(s.n.root, "run/cni/loopback")); err != nil {
		t.Fatal(err)
	}
	s.finds(1, "within 20s the node did not come to pull it", "loopback", "keeps pods of any image from starting there")
}

// The rows of the documentation's table, as a kubelet sees them.
func TestAKubeletDoesWhatTheTableSaysWhenLarderIsGone(t *testing.T) {
	webhook := testkit.NewAddress(t)
	s := newNodeStack(t, "  listen: "+webhook)
	for _, name := range []string{"first", "always", "new-1", "new-2", "new-3", "new-4"} {
		s.addToHub("library/"+name, "1", runnable(t, name))
	}
	g := &goneTest{nodeStack: s, webhook: s.client.run("kube", "webhook", "--url", "https://"+webhook), policy: s.client.run("kube", "policy")}
	g.begin(mirrorsWay, g.mirror)
	g.begin(webhookWay, func() { g.plain(); g.apply(g.webhook) })
	g.begin(policyWay, func() { g.c.do("kubectl delete mutatingwebhookconfiguration larder"); g.apply(g.policy) })

	if err := s.daemon.terminate(); err != nil {
		t.Fatal(err)
	}
	seen := []gone{g.see("a policy, until its watcher has seen it", policyWay, func() {})}
	seen = append(seen, g.see("a policy, after its watcher has seen it", policyWay, func() {
		s.c.kubectl.run("patch", "configmap", "larder-rewriting", "--namespace", "larder", "--type=merge", `--patch={"data":{"enabled":"unready"}}`)
		s.c.await(policyWay, "first:1", "first:1")
	}))
	seen = append(seen, g.see("a webhook", webhookWay, func() { g.apply(g.webhook) }))
	seen = append(seen, g.see("node mirrors", mirrorsWay, func() {
		g.c.do("kubectl delete mutatingwebhookconfiguration larder")
		g.mirror()
	}))
	text := read(t, "../../docs/clusters.md")
	for _, row := range seen {
		line := "| " + strings.Join([]string{row.way, row.newPod, row.restarted, row.always}, " | ") + " |\n"
		if !strings.Contains(text, line) {
			t.Errorf("docs/clusters.md has no row\n%s", line)
		}
	}
}

// The ways in, and the namespaces in which they are tried.
const (
	mirrorsWay = "mirrors"
	webhookWay = "webhook"
	policyWay  = "policy"
)

type goneTest struct {
	*nodeStack
	webhook, policy string // manifests
	made            int
}

func (g *goneTest) apply(manifest string) {
	g.t.Helper()
	g.c.kubectl.runWith(manifest, "apply", "--validate=strict", "--filename", "-")
}

// mirror writes the node's files as a user does, and has it trust Larder by them. Docker Hub
// is the simulated one.
func (g *goneTest) mirror() {
	g.t.Helper()
	if err := os.RemoveAll(filepath.Join(g.n.root, certsFolder)); err != nil {
		g.t.Fatal(err)
	}
	g.client.run("mirrors", "--for", "containerd", "--url", "https://"+g.host, "--ca", g.authority(), "--to", "/")
	g.n.write(hubFile, strings.Replace(read(g.t, filepath.Join(g.n.root, hubFile)), "https://registry-1.docker.io", g.hub.URL(), 1))
}

// plain has the node pull Docker Hub's images from there.
func (g *goneTest) plain() {
	g.n.write(hubFile, fmt.Sprintf("server = %[1]q\n[host.%[1]q]\n", g.hub.URL()))
}

// hubFile is what containerd knows of Docker Hub.
const hubFile = certsFolder + "/docker.io/hosts.toml"

// pod makes one of an image of the Hub, and waits for what becomes of it.
func (g *goneTest) pod(namespace, name, image, policy string) string {
	g.t.Helper()
	g.apply(fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 1
  containers: [{name: app, image: %q, imagePullPolicy: %s}]
`, name, namespace, nodeName, image, policy))
	return g.outcome(namespace, name, "Running")
}

func (g *goneTest) outcome(namespace, name, running string) string {
	g.t.Helper()
	got := g.c.becomes(namespace, name, running, "ErrImagePull: ", "ImagePullBackOff: ")
	g.t.Logf("pod %s of namespace %s: %s", name, namespace, got)
	if strings.HasPrefix(got, "Running") {
		return starts
	}
	return waits
}

// begin turns a way on and makes the pods whose containers are started again later.
func (g *goneTest) begin(way string, on func()) {
	g.t.Helper()
	g.c.namespaces(way)
	on()
	if way != mirrorsWay {
		g.c.await(way, "first:1", g.host+"/docker-hub/library/first:1")
	}
	for name, policy := range map[string]string{"first": "IfNotPresent", "always": "Always"} {
		if got := g.pod(way, name, name+":1", policy); got != starts {
			g.t.Fatalf("with Larder a pod %s", got)
		}
	}
}

// see has a way do what it does without Larder.
func (g *goneTest) see(row, way string, on func()) gone {
	g.t.Helper()
	on()
	g.made++
	name := fmt.Sprintf("new-%d", g.made) // an image that the node does not have
	newPod := g.pod(way, name, name+":1", "IfNotPresent")
	return gone{row, newPod, g.again(way, "first"), g.again(way, "always")}
}

// again ends a container as a crash does, and tells what becomes of it.
func (g *goneTest) again(namespace, pod string) string {
	g.t.Helper()
	before := g.c.state(namespace, pod)
	if !strings.HasPrefix(before, "Running") {
		return waits
	}
	id := g.c.kubectl.run("get", "pod", pod, "-n", namespace, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	g.n.ctr().run("tasks", "kill", "--signal", "SIGKILL", strings.TrimPrefix(id, "containerd://"))
	var restarts int
	if _, err := fmt.Sscanf(before, "Running after %d", &restarts); err != nil {
		g.t.Fatal(err)
	}
	return g.outcome(namespace, pod, fmt.Sprintf("Running after %d", restarts+1))
}

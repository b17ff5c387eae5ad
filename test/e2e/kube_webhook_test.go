package e2e_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// workloadLimit bounds how long a controller takes to make a pod on a busy machine.
const workloadLimit = 2 * time.Minute

// rewrittenHost is what pods' images are called by.
const rewrittenHost = "registry.example.com"

// newRewritingStack is a stack with the webhook, and the webhook is known to the cluster,
// which is patient with it.
func (c *cluster) newRewritingStack() (s *stack, webhook string) {
	c.t.Helper()
	webhook = testkit.NewAddress(c.t)
	s = newStack(c.t, hubsim.Options{},
		"publicURL: https://"+rewrittenHost, "kubernetes:", "  listen: "+webhook, "  optOut:",
		"    annotations: [idp.jppol.dk/ecr-pull-through-cache]", "    namespaces: [kube-system, larder, quiet-*]")
	s.larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	c.rewrites(patient(s.printedWebhook(webhook)))
	return s, webhook
}

// printedWebhook is what the cluster is to know of a webhook.
func (s *stack) printedWebhook(webhook string) string {
	return s.larder.run("kube", "webhook", "--url", "https://"+webhook)
}

// patient has the API server wait for so long that on a busy machine, too, each pod is
// rewritten.
func patient(configuration string) string {
	return strings.Replace(configuration, "timeoutSeconds: 2\n", "timeoutSeconds: 30\n", 1)
}

func (c *cluster) rewrites(configuration string) {
	c.t.Helper()
	c.kubectl.runWith(configuration, "apply", "--validate=strict", "-f", "-")
}

const cached = rewrittenHost + "/docker-hub/"

// made is the image that a pod of a namespace gets.
func (c *cluster) made(namespace, image string, options ...string) string {
	c.t.Helper()
	return c.kubectl.run(append([]string{
		"run", "tried", "--namespace", namespace, "--image", image, "--dry-run=server", "--output=jsonpath={.spec.containers[0].image}",
	}, options...)...)
}

// await waits until the API server has heard of a change.
func (c *cluster) await(namespace, image, want string, options ...string) {
	c.t.Helper()
	for deadline := time.Now().Add(takesEffect); ; time.Sleep(100 * time.Millisecond) {
		got := c.made(namespace, image, options...)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("a pod of %s gets %s for %s, want %s", namespace, got, image, want)
		}
	}
}

func (c *cluster) namespaces(names ...string) {
	c.t.Helper()
	for _, name := range names {
		c.do("kubectl create namespace " + name)
		c.kubectl.run("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=60s")
	}
}

// podMakers are the controllers that make pods, and service accounts for them.
func podMakers() []string {
	return []string{
		"serviceaccount-controller", "deployment-controller", "replicaset-controller", "statefulset-controller", "job-controller", "cronjob-controller",
	}
}

func TestImagesOfPodsAreRewrittenAndTheirTemplatesAreNot(t *testing.T) {
	t.Parallel()
	c := newCluster(t, podMakers()...)
	c.namespaces("demo", "quiet-1", "labeled")
	c.before(t)
	s, webhook := c.newRewritingStack()
	c.await("demo", "nginx:latest", cached+"library/nginx:latest")
	t.Run("each kind of image", func(t *testing.T) { c.in(t).eachKindOfImage() })
	t.Run("each kind of workload", func(t *testing.T) { c.in(t).eachKindOfWorkload() })
	t.Run("opting out", func(t *testing.T) { c.in(t).optingOut() })
	t.Run("a debugger", func(t *testing.T) { c.in(t).debugger() })
	c.rewrites(s.printedWebhook(webhook)) // as it is shipped, nobody waits for long
	if err := s.daemon.terminate(); err != nil {
		t.Fatal(err)
	}
	for name, stand := range map[string]func(*testing.T, string){
		"a webhook that is gone":             func(*testing.T, string) {},
		"a webhook that says nothing":        silence,
		"a webhook with a wrong certificate": impostor,
	} {
		t.Run(name, func(t *testing.T) {
			stand(t, webhook)
			c.in(t).await("demo", "nginx:latest", "nginx:latest")
		})
	}
}

// silence accepts connections and does nothing with them.
func silence(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
}

// impostor has a certificate that the API server was not told of.
func impostor(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a review was sent to a stranger") }))
	_ = server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
}

// before shows that nothing happens by itself.
func (c *cluster) before(t *testing.T) {
	t.Helper()
	if got := c.made("demo", "nginx:latest"); got != "nginx:latest" {
		t.Errorf("without a webhook a pod gets %s", got)
	}
}

func (c *cluster) eachKindOfImage() {
	for image, want := range map[string]string{
		"nginx:latest":                   cached + "library/nginx:latest",
		"docker.io/nginx:latest":         cached + "library/nginx:latest",
		"grafana/grafana:latest":         cached + "grafana/grafana:latest",
		"docker.io/bitnami/nginx:latest": cached + "bitnami/nginx:latest",
		"gcr.io/project/image":           "gcr.io/project/image",
		"quay.io/organization/image":     "quay.io/organization/image",
		"ghcr.io/owner/image":            "ghcr.io/owner/image",
		"354918371398.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/library/nginx:latest": "354918371398.dkr.ecr.eu-west-1.amazonaws.com/docker-hub/library/nginx:latest",
	} {
		if got := c.made("demo", image); got != want {
			c.t.Errorf("a pod gets %s for %s, want %s", got, image, want)
		}
	}
}

// workloads have one container each, of nginx:latest.
const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: deployment}
spec:
  selector: {matchLabels: {app: deployment}}
  template: {metadata: {labels: {app: deployment}}, spec: {containers: [{name: app, image: "nginx:latest"}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: statefulset}
spec:
  serviceName: statefulset
  selector: {matchLabels: {app: statefulset}}
  template: {metadata: {labels: {app: statefulset}}, spec: {containers: [{name: app, image: "nginx:latest"}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template: {metadata: {labels: {app: job}}, spec: {restartPolicy: Never, containers: [{name: app, image: "nginx:latest"}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cronjob}
spec:
  schedule: "0 0 1 1 *"
  suspend: true
  jobTemplate: {spec: {template: {metadata: {labels: {app: cronjob}}, spec: {restartPolicy: Never, containers: [{name: app, image: "nginx:latest"}]}}}}
---
apiVersion: v1
kind: Pod
metadata: {name: pod, labels: {app: pod}}
spec: {containers: [{name: app, image: "nginx:latest"}]}
`

// eachKindOfWorkload leaves what was written as it is, which is all that GitOps compares.
func (c *cluster) eachKindOfWorkload() {
	c.kubectl.runWith(workloads, "apply", "--server-side", "--namespace", "demo", "--filename", "-")
	c.do("kubectl create job now --from=cronjob/cronjob --namespace demo")
	for _, kind := range []string{"deployment", "statefulset", "job", "cronjob", "pod"} {
		image := ""
		for deadline := time.Now().Add(workloadLimit); image == "" && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			found := strings.Fields(c.kubectl.run("get", "pods", "--namespace", "demo", "--selector", "app="+kind, "--output=jsonpath={.items[*].spec.containers[0].image}"))
			if len(found) > 0 {
				image = found[0]
			}
		}
		if image != cached+"library/nginx:latest" {
			c.t.Errorf("the pod of a %s has the image %q", kind, image)
		}
	}
	for kind, path := range map[string]string{
		"deployment": ".spec.template", "statefulset": ".spec.template", "job": ".spec.template", "cronjob": ".spec.jobTemplate.spec.template",
	} {
		if got := c.kubectl.run("get", kind, kind, "--namespace", "demo", "--output=jsonpath={"+path+".spec.containers[0].image}"); got != "nginx:latest" {
			c.t.Errorf("the template of a %s has %s", kind, got)
		}
	}
	documents := strings.Split(workloads, "---\n")
	for _, document := range documents[:len(documents)-1] { // a bare pod is changed, and shows it
		if r := c.kubectl.try(document, "diff", "--server-side", "--namespace", "demo", "--filename", "-"); r.code != 0 {
			c.t.Errorf("GitOps would see a difference: %s", r.both())
		}
	}
}

func (c *cluster) optingOut() {
	c.do("kubectl label namespace labeled larder.dev/pull-through-cache=disabled")
	for _, way := range [][]string{
		{"demo", "--annotations=larder.dev/pull-through-cache=disabled"},
		{"demo", "--annotations=idp.jppol.dk/ecr-pull-through-cache=disabled"},
		{"quiet-1"}, {"labeled"}, {"larder"},
	} {
		c.await(way[0], "nginx:latest", "nginx:latest", way[1:]...)
	}
}

func (c *cluster) debugger() {
	c.kubectl.run("debug", "pod", "--namespace", "demo", "--image=busybox:1", "--container=d", "--profile=general", "--attach=false")
	if got := c.kubectl.run("get", "pod", "pod", "--namespace", "demo", "--output=jsonpath={.spec.ephemeralContainers[0].image}"); got != cached+"library/busybox:1" {
		c.t.Errorf("the debugger has the image %s", got)
	}
}

// What documentation of image streams promises: a short name in a pod is the image of the
// namespace's own project, where that is set, and Docker Hub's before and after.
func TestShortNamesInPodsMeanTheNamespacesImageStreams(t *testing.T) {
	t.Parallel()
	c := newCluster(t, podMakers()...)
	c.namespaces("demo", "other")
	s, _ := c.newRewritingStack()
	// Where the registry says that its tokens come from, nobody is here.
	newSkopeo(t).run("copy", "--dest-tls-verify=false", "--dest-registry-token", strings.TrimSpace(s.larder.run("whoami", "-t")),
		"oci:"+newImageFolder(t), "docker://"+s.main+"/demo/centos:7")
	digest := s.digestOfTag("demo/centos:7")
	own, hub := rewrittenHost+"/demo/centos@"+digest, cached+"library/centos:7"

	c.await("demo", "centos:7", hub)
	s.larder.run("set", "image-lookup", "centos", "-n", "demo")
	c.await("demo", "centos:7", own)
	for image, want := range map[string]string{
		"centos@" + digest: own,
		"centos:8":         cached + "library/centos:8",
		"library/centos:7": hub,
	} {
		if got := c.made("demo", image); got != want {
			t.Errorf("a pod gets %s for %s, want %s", got, image, want)
		}
	}
	if got := c.made("other", "centos:7"); got != hub {
		t.Errorf("a pod of another namespace gets %s", got)
	}
	c.kubectl.runWith(strings.ReplaceAll(workloads, "nginx:latest", "centos:7"), "apply", "--server-side", "--namespace", "demo", "--filename", "-")
	c.kubectl.run("wait", "--for=create", "pod", "--selector=app=deployment", "--namespace=demo", "--timeout=60s")
	if got := c.kubectl.run("get", "pods", "--namespace", "demo", "--selector=app=deployment", "--output=jsonpath={.items[0].spec.containers[0].image}"); got != own {
		t.Errorf("the pod of a Deployment has %s", got)
	}
	if got := c.kubectl.run("get", "deployment", "deployment", "--namespace", "demo", "--output=jsonpath={.spec.template.spec.containers[0].image}"); got != "centos:7" {
		t.Errorf("its template has %s", got)
	}

	s.larder.run("set", "image-lookup", "centos", "-n", "demo", "--enabled=false")
	c.await("demo", "centos:7", hub)
	if got := c.made("demo", "centos:7", "--annotations=alpha.image.policy.openshift.io/resolve-names=*"); got != own {
		t.Errorf("a pod that asks for all its names gets %s", got)
	}
	c.workloadThatAsks(s, hub, own)
}

// workloadThatAsks has short names looked up by one workload's word, where the image stream
// does not say so.
func (c *cluster) workloadThatAsks(s *stack, hub, own string) {
	c.t.Helper()
	lookup := func(args ...string) string {
		return s.larder.run(append([]string{"set", "image-lookup", "deploy/asks", "-n", "demo", "--kubeconfig", c.Admin}, args...)...)
	}
	images := func() string {
		return c.kubectl.run("get", "pods", "--namespace", "demo", "--selector=app=asks", "--output=jsonpath={.items[*].spec.containers[0].image}")
	}
	c.do("kubectl create deployment asks --image=centos:7 --namespace demo")
	s.await(func() bool { return strings.TrimSpace(images()) == hub })
	wants(c.t, lookup(), "deployment demo/asks image lookup enabled")
	s.await(func() bool { return strings.Contains(images(), own) })
	wants(c.t, lookup("--list"), "deployments/asks   true")
	lookup("--enabled=false")
	wants(c.t, lookup("--list"), "deployments/asks   false")
	if got := c.kubectl.run("get", "deployment", "asks", "--namespace", "demo", "--output=jsonpath={.spec.template.metadata.annotations}"); strings.Contains(got, "resolve-names") {
		c.t.Errorf("its template still has %s", got)
	}
}

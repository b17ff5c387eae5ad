package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// daemonSet has a pod on each node, of which there are none here.
const daemonSet = `---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemonset}
spec:
  selector: {matchLabels: {app: daemonset}}
  template: {metadata: {labels: {app: daemonset}}, spec: {containers: [{name: app, image: "nginx:latest"}]}}
`

// awaitImage waits until a field of a workload has an image.
func (c *cluster) awaitImage(namespace, workload, field, want string) {
	c.t.Helper()
	got := ""
	for deadline := time.Now().Add(takesEffect); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got = c.kubectl.run("get", workload, "-n", namespace, "-o", "jsonpath={"+field+"}"); got == want {
			return
		}
	}
	c.t.Fatalf("%s has the image %q, want %q", workload, got, want)
}

// digestOfTag is what a tag names.
func (s *stack) digestOfTag(tag string) string {
	s.t.Helper()
	var list struct{ Items []struct{ Digest string } }
	if err := json.Unmarshal([]byte(s.larder.run("get", "istag", tag, "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Digest == "" {
		s.t.Fatalf("tag %s is %+v", tag, list)
	}
	return list.Items[0].Digest
}

func TestWorkloadsFollowTheirTags(t *testing.T) {
	t.Parallel()
	c := newCluster(t, podMakers()...)
	c.kubectl.run("apply", "--filename", shippedFile(t, "image-triggers.yaml"), "--validate=strict")
	c.namespaces("demo", "shop")
	for _, namespace := range []string{"demo", "shop"} {
		c.do("kubectl create rolebinding larder-image-triggers -n " + namespace + " --clusterrole=larder-image-triggers --serviceaccount=larder:larder")
	}
	listen := testkit.NewAddress(t)
	s := newStack(t, hubsim.Options{}, "listen: "+listen, "publicURL: http://"+listen, "kubernetes: {imageTriggers: [demo, sh*], kubeconfig: "+c.larderConfig()+"}")
	s.larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	push := func() string {
		newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/web:latest")
		return s.main + "/demo/web@" + s.digestOfTag("demo/web:latest")
	}
	first := push()
	c.kubectl.runWith(workloads+daemonSet, "apply", "--server-side", "--namespace", "demo", "--filename", "-")
	c.kubectl.runWith(workloads, "apply", "--server-side", "--namespace", "shop", "--filename", "-")
	set := func(args ...string) string {
		return s.larder.run(append([]string{"set", "triggers", "--kubeconfig", c.Admin}, args...)...)
	}
	const image, jobImage = ".spec.template.spec.containers[0].image", ".spec.jobTemplate.spec.template.spec.containers[0].image"

	set("deploy/deployment", "--from-image=demo/web:latest", "-c", "app", "-n", "demo")
	set("sts/statefulset", "--from-image=web:latest", "-n", "demo")
	set("ds/daemonset", "--from-image=web:latest", "-n", "demo")
	set("cronjob", "cronjob", "--from-image=web:latest", "-n", "demo")
	c.awaitImage("demo", "deployment/deployment", image, first)
	c.awaitImage("demo", "statefulset/statefulset", image, first)
	c.awaitImage("demo", "daemonset/daemonset", image, first)
	c.awaitImage("demo", "cronjob/cronjob", jobImage, first)
	wants(t, set("deploy/deployment", "-n", "demo"), "demo/web:latest (app)")

	// A push moves the Deployment, and its pods.
	second := push()
	if second == first {
		t.Fatal("the tag has not moved: the rest would prove nothing")
	}
	c.awaitImage("demo", "deployment/deployment", image, second)
	c.awaitImage("demo", "daemonset/daemonset", image, second)
	c.awaitImage("demo", "cronjob/cronjob", jobImage, second)
	c.kubectl.run("rollout", "status", "deployment/deployment", "-n", "demo", "--watch=false")
	pods := ""
	s.await(func() bool {
		pods = c.kubectl.run("get", "pods", "-n", "demo", "--selector=app=deployment", "-o", "jsonpath={.items[*].spec.containers[0].image}")
		return strings.Contains(pods, second)
	})
	wants(t, pods, second)

	// One that is paused stays, until it is not.
	set("deploy/deployment", "--manual", "-n", "demo")
	third := push()
	c.awaitImage("demo", "statefulset/statefulset", image, third)
	c.awaitImage("demo", "deployment/deployment", image, second)
	set("deploy/deployment", "--auto", "-n", "demo")
	c.awaitImage("demo", "deployment/deployment", image, third)

	// Another namespace follows once it may pull.
	set("deploy/deployment", "--from-image=demo/web:latest", "-n", "shop")
	s.daemon.await(`shop/deployment.*give system:serviceaccount:shop:default the role system:image-puller in project demo`)
	c.awaitImage("shop", "deployment/deployment", image, "nginx:latest")
	s.larder.run("policy", "add-role-to-group", "system:image-puller", "system:serviceaccounts:shop", "-n", "demo")
	c.awaitImage("shop", "deployment/deployment", image, third)

	set("deploy/deployment", "--remove-all", "-n", "demo")
	fourth := push()
	c.awaitImage("demo", "statefulset/statefulset", image, fourth)
	c.awaitImage("demo", "deployment/deployment", image, third)
	wants(t, s.larder.fails("set", "triggers", "deploy/none", "--from-image=web:latest", "--kubeconfig", c.Admin, "-n", "demo"), "has no deployment none: kubectl get deployments -n demo lists")
}

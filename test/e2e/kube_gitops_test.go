package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/larder-registry/larder/internal/testkit/gitops"
)

// everyImage is a pod that has an image wherever a pod may have one.
const everyImage = `
apiVersion: v1
kind: Pod
metadata: {name: every-image}
spec:
  initContainers: [{name: init, image: "busybox:1"}]
  containers: [{name: app, image: "nginx:latest"}]
  volumes: [{name: files, image: {reference: "acme/files:1"}}]
`

// gitOpsSees says which of the documents differ from what the cluster has, as Argo CD
// compares: by what was last applied, and by what the API server would make of them. The
// status and the generation are written by nobody, and Argo CD leaves them out in other ways.
func (c *cluster) gitOpsSees(namespace, document string, ignored ...string) []string {
	c.t.Helper()
	one := func(args ...string) json.RawMessage {
		args = append(args, "--filename", "-", "--output=json", "--namespace", namespace)
		return json.RawMessage(c.kubectl.runWith(document, args...))
	}
	var live struct{ Items []json.RawMessage }
	if err := json.Unmarshal(one("get"), &live); err != nil || len(live.Items) != 1 {
		c.t.Fatalf("the cluster has %d of\n%s\n%v", len(live.Items), document, err)
	}
	comparison := gitops.Comparison{Desired: one("create", "--dry-run=client"), Live: live.Items[0], Ignored: append(ignored, ".status", ".metadata.generation")}
	var seen []string
	for _, way := range []struct {
		name   string
		dryRun json.RawMessage
	}{
		{"by what was last applied", nil},
		{"by the API server", one("apply", "--server-side", "--force-conflicts", "--dry-run=server")},
	} {
		comparison.DryRun = way.dryRun
		got, err := gitops.Compare(c.t.Context(), comparison)
		if err != nil {
			c.t.Fatalf("%s: %v", way.name, err)
		}
		if got.Modified {
			seen = append(seen, way.name+": "+string(got.Live)+" would become "+string(got.Predicted))
		}
	}
	return seen
}

// argoCDIgnores are the expressions that are shipped for a kind of objects.
func argoCDIgnores(t *testing.T, kind string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "gitops", "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var settings struct{ Data map[string]string }
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	var rule struct {
		JQPathExpressions []string `yaml:"jqPathExpressions"`
	}
	if err := yaml.Unmarshal([]byte(settings.Data["resource.customizations.ignoreDifferences."+kind]), &rule); err != nil {
		t.Fatal(err)
	}
	return rule.JQPathExpressions
}

// ofKind is the document of a kind, out of several.
func ofKind(t *testing.T, documents, kind string) string {
	t.Helper()
	for document := range strings.SplitSeq(documents, "\n---\n") {
		if strings.Contains("\n"+document, "\nkind: "+kind+"\n") {
			return document
		}
	}
	t.Fatalf("there is no %s in\n%s", kind, documents)
	return ""
}

// What is changed itself shows a difference, until the rules that are shipped are heeded.
func TestArgoCDSeesNoDifference(t *testing.T) {
	t.Parallel()
	c := newCluster(t, podMakers()...)
	c.namespaces("demo")
	s, address := c.newRewritingStack()
	webhook := patient(s.printedWebhook(address))
	policy := s.larder.run("kube", "policy", "--image", "larder:test")
	c.kubectl.runWith(policy, "apply", "--filename", "-")
	c.await("demo", "nginx", cached+"library/nginx:latest")
	for document := range strings.SplitSeq(workloads+"---"+everyImage, "---\n") {
		c.kubectl.runWith(document, "apply", "--namespace", "demo", "--filename", "-")
	}
	for _, kind := range []string{"deployment", "job"} {
		c.kubectl.run("wait", "--for=create", "pod", "--selector=app="+kind, "--namespace", "demo", "--timeout=120s")
	}
	written := strings.Split(workloads, "---\n")
	for _, document := range written[:len(written)-1] {
		if seen := c.gitOpsSees("demo", document); len(seen) > 0 {
			t.Errorf("Argo CD sees a difference %s", strings.Join(seen, "\n"))
		}
	}
	c.gitOpsIgnores("demo", "Pod", everyImage)

	s.larder.env = append(s.larder.env, "KUBECONFIG="+c.Admin)
	s.larder.run("kube", "off")
	c.gitOpsIgnores("larder", "ConfigMap", ofKind(t, policy, "ConfigMap"))
	c.gitOpsIgnores("larder", "admissionregistration.k8s.io_MutatingWebhookConfiguration", webhook)
}

// gitOpsIgnores compares what was changed in the cluster without and with the rules.
func (c *cluster) gitOpsIgnores(namespace, kind, document string) {
	c.t.Helper()
	if seen := c.gitOpsSees(namespace, document); len(seen) == 0 {
		c.t.Errorf("a %s is as it was written, which shows nothing", kind)
	}
	if seen := c.gitOpsSees(namespace, document, argoCDIgnores(c.t, kind)...); len(seen) > 0 {
		c.t.Errorf("Argo CD sees a difference %s", strings.Join(seen, "\n"))
	}
}

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/testkit"
)

// serviceMonitors makes Prometheus' kind of objects known.
const serviceMonitors = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: ServiceMonitor, plural: servicemonitors, singular: servicemonitor}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

func TestTheClusterTakesTheChartAndItsPodsDoWhatItSays(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	c.kubectl.runWith(serviceMonitors, "apply", "--filename", "-")
	c.kubectl.run("wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com", "--timeout=60s")
	c.knowsCertificates()
	for _, values := range chartCases() {
		t.Run(values, func(t *testing.T) {
			part := c.in(t)
			part.kubectl.runWith(chart(t, values), "apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename", "-")
		})
	}
	t.Run("by kustomize", func(t *testing.T) {
		part := c.in(t)
		made := part.kubectl.run("kustomize", absolute(t, filepath.Join(kustomizeFolder, "example")))
		wants(t, made, "image: registry.example.com/platform/larder:0.1.0-dev")
		part.kubectl.runWith(made, "apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename", "-")
	})
	t.Run("as Larder prints it", func(t *testing.T) {
		part, larder := c.in(t), newLarder(t)
		larder.write("ca.crt", "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n")
		printed := larder.run("kube", "manifests", "--public-url", "https://registry.example.com", "--policy", "--nodes", "--ca", "ca.crt")
		part.kubectl.runWith(printed, "apply", "--filename", "-", "--validate=strict")
		wants(t, part.kubectl.run("get", "deployments,daemonsets,services,ingresses,mutatingadmissionpolicies", "--namespace", "larder", "--output=name"), "daemonset.apps/larder-nodes")
		larder.env = append(larder.env, "KUBECONFIG="+c.Admin)
		removed := larder.run("kube", "uninstall")
		for _, want := range []string{"mutatingadmissionpolicies/larder removed", "daemonsets/larder-nodes", "deployments/larder-webhook", "poddisruptionbudgets/larder-webhook"} {
			wants(t, removed, want)
		}
	})
	t.Run("a hardened namespace takes its pods", func(t *testing.T) { c.in(t).takesRestrictedPods() })
	t.Run("what the pods run", func(t *testing.T) { c.in(t).runsTheChart() })
}

// takesRestrictedPods makes the pods where nothing is allowed that a pod can do without.
func (c *cluster) takesRestrictedPods() {
	c.do("kubectl create namespace restricted", "kubectl label namespace restricted pod-security.kubernetes.io/enforce=restricted",
		"kubectl create serviceaccount larder --namespace restricted")
	for _, deployment := range documents(c.t, chart(c.t, "replicas.yaml"), "Deployment") {
		template := at(c.t, deployment, "spec", "template")
		pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "tried"}, "spec": template["spec"]}
		c.kubectl.runWith(yamlOf(c.t, pod), "create", "--namespace", "restricted", "--dry-run=server", "--filename", "-")
	}
}

// runsTheChart runs what the chart's containers would: the configuration, the arguments and
// the rights are the chart's, the addresses are those of this machine.
func (c *cluster) runsTheChart() {
	rendered := chart(c.t, "one-pod.yaml")
	c.kubectl.runWith(rendered, "apply", "--server-side", "--force-conflicts", "--filename", "-")
	kubeconfig, err := c.Kubeconfig("larder", c.token("larder", "larder"))
	if err != nil {
		c.t.Fatal(err)
	}
	webhook, relay := testkit.NewAddress(c.t), testkit.NewAddress(c.t)
	c.kubectl.run("patch", "mutatingwebhookconfiguration", "larder", "--type=json",
		fmt.Sprintf(`--patch=[{"op":"replace","path":"/webhooks/0/clientConfig","value":{"url":"https://%s/kubernetes/mutate"}}]`, relay))
	here := strings.NewReplacer(":5000", "127.0.0.1:0", ":9090", "127.0.0.1:0", `:9443`, webhook,
		"kubernetes:", "kubernetes:\n  kubeconfig: "+kubeconfig, "names:", "names:\n  - 127.0.0.1")
	config := at(c.t, documents(c.t, rendered, "ConfigMap")[0], "data")["larder.yaml"].(string)
	registry, relayed := c.container(rendered, "larder"), c.container(rendered, "larder-webhook")

	node := newLarder(c.t)
	node.env = append(node.env, "LARDER_ADMIN_PASSWORD="+adminPassword, "LARDER_PUBLIC_URL="+env(c.t, registry, "LARDER_PUBLIC_URL"))
	node.write("larder.yaml", here.Replace(config))
	for i, arg := range registry.args {
		registry.args[i] = strings.Replace(arg, "/etc/larder/config/larder.yaml", "larder.yaml", 1)
	}
	startDaemon(node, registry.args...).await(`listens on https?://localhost:(\d+),`)
	for i, arg := range relayed.args {
		switch {
		case strings.HasPrefix(arg, "--listen="):
			relayed.args[i] = "--listen=" + relay
		case strings.HasPrefix(arg, "--to="):
			relayed.args[i] = "--to=https://" + webhook
		}
	}
	startDaemon(newLarder(c.t), append(relayed.args, "--name=127.0.0.1", "--kubeconfig="+kubeconfig)...)
	c.await("demo", "nginx:latest", cached+"library/nginx:latest")
	c.await("larder", "nginx:latest", "nginx:latest")
}

// container is what a Deployment runs.
type container struct {
	args []string
	env  []any
}

func (c *cluster) container(rendered, deployment string) container {
	c.t.Helper()
	for _, d := range documents(c.t, rendered, "Deployment") {
		if at(c.t, d, "metadata")["name"] != deployment {
			continue
		}
		first := at(c.t, d, "spec", "template", "spec")["containers"].([]any)[0].(map[string]any)
		found := container{}
		for _, arg := range first["args"].([]any) {
			found.args = append(found.args, arg.(string))
		}
		found.env, _ = first["env"].([]any)
		return found
	}
	c.t.Fatalf("the chart has no Deployment %s", deployment)
	return container{}
}

func env(t *testing.T, of container, name string) string {
	t.Helper()
	for _, variable := range of.env {
		if v := variable.(map[string]any); v["name"] == name {
			return v["value"].(string)
		}
	}
	t.Fatalf("the container has no variable %s", name)
	return ""
}

package e2e_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/helmchart"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/testkit"
)

// update writes the golden files anew: go test -run TheChart -update ./test/e2e
var update = flag.Bool("update", false, "write the golden files of the chart anew")

const chartValues = "testdata/chart"

var kustomizeFolder = filepath.Join(projectFolder, "deploy", "kustomize")

var chartFolder = filepath.Join(projectFolder, "deploy", "charts", "larder")

// newHelm is helm on a machine of its own.
func newHelm(t *testing.T) *program {
	t.Helper()
	path, err := testkit.Tool{Name: "helm", Source: "helm.sh/helm/v4/cmd/helm", Version: "v4.3.1"}.Program()
	if err != nil {
		t.Fatal(err)
	}
	return newProgram(t, path)
}

// chart is what helm makes of the chart with values; the password that it draws is replaced.
func chart(t *testing.T, values string) string {
	t.Helper()
	rendered := newHelm(t).run("template", "larder", absolute(t, chartFolder), "--namespace", "larder",
		"--kube-version", "1.36.0", "--values", absolute(t, filepath.Join(chartValues, values)))
	return regexp.MustCompile(`(?m)^  password: .+$`).ReplaceAllString(rendered, "  password: ZHJhd24=")
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	found, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// chartCases are the files with values.
func chartCases() []string {
	return []string{"one-pod.yaml", "replicas.yaml", "node-port.yaml", "ways-in.yaml", "cert-manager.yaml", "company-ca.yaml"}
}

func TestTheChartRendersWhatIsWrittenDown(t *testing.T) {
	for _, values := range chartCases() {
		t.Run(values, func(t *testing.T) {
			lint := newHelm(t).run("lint", "--strict", absolute(t, chartFolder), "--values", absolute(t, filepath.Join(chartValues, values)))
			wants(t, lint, "0 chart(s) failed")
			got, golden := chart(t, values), filepath.Join(chartValues, "golden", values)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(read(t, golden), got); diff != "" {
				t.Errorf("what helm renders is not what is written down; look at it, then -update (-written +rendered):\n%s", diff)
			}
		})
	}
}

func TestTheKustomizationIsMadeOfTheChart(t *testing.T) {
	file := filepath.Join(kustomizeFolder, "base", "larder.yaml")
	values, err := helmchart.ParseValues([]byte(read(t, filepath.Join(chartValues, "kustomize.yaml"))))
	if err != nil {
		t.Fatal(err)
	}
	got, err := helmchart.Render(helmchart.Release{Name: "larder", Namespace: "larder", Kubernetes: "1.36.0"}, values)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, file), got); diff != "" {
		t.Errorf("deploy/kustomize/base/larder.yaml is not what the chart renders; look at it, then -update (-file +rendered):\n%s", diff)
	}
}

func TestTheChartSaysWhatIsMissingAndWhatDoesNotFit(t *testing.T) {
	for _, tt := range []struct{ set, want string }{
		{"publicURL=", "publicURL says how clients, pods and nodes call the registry: set it"},
		{"publicURL=registry.example.com", "publicURL says how"},
		{"replicas=2", "set database.existingSecret and storage.url, or replicas to 1"},
		{"storage.url=s3://larder", "a Secret with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		{"tls.selfSigned=true,tls.existingSecret=x", "two sources of one certificate"},
		{"service.type=NodePort", "without TLS nothing serves the https of publicURL"},
		{"config.tls.selfSigned=true", "config.tls: the chart decides it by its own values"},
		{"replica=2", "replica"},
		{"service.type=Gateway", "service.type"},
		{"persistence.size=much", "persistence.size"},
		{"image.digest=latest", "image.digest"},
		{"policy.enabled=true", "policy.enabled: an API server knows such policies from Kubernetes 1.36 on"},
		{"policy.url=registry", "policy.url"},
		{"tls.ca=ca.crt", "tls.ca is no certificate in PEM form"},
		{"webhook.certManager.enabled=true,webhook.enabled=false", "there is no webhook whose certificate it could make"},
		{"webhook.certManager.issuerRef.name=company", "Larder makes the certificate itself unless webhook.certManager.enabled is true"},
		{"webhook.certManager.enabled=true,config.kubernetes.secret=larder/x", "the chart decides where the webhook's certificate is; leave them out"},
		{"webhook.certManager.duration=90d", "webhook.certManager.duration"},
	} {
		output := newHelm(t).fails("template", "larder", absolute(t, chartFolder), "--kube-version", "1.35.0", "--set", "publicURL=https://registry.example.com", "--set", tt.set)
		flat := strings.NewReplacer("\n", " ", "/", ".").Replace(output)
		if !strings.Contains(flat, strings.ReplaceAll(tt.want, "/", ".")) {
			t.Errorf("--set %s: %s\nlacks %q", tt.set, output, tt.want)
		}
	}
}

// documents are the objects of a kind in a stream of YAML.
func documents(t *testing.T, stream, kind string) (found []map[string]any) {
	t.Helper()
	for text := range strings.SplitSeq(stream, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		if object["kind"] == kind {
			found = append(found, object)
		}
	}
	return found
}

// TestTheChartsWaysInAreThoseThatLarderPrints compares them by what they say: the chart's have
// labels of Helm's besides.
func TestTheChartsWaysInAreThoseThatLarderPrints(t *testing.T) {
	rules, optOut := mirror.DockerHub(rewrittenHost), mirror.OptOut{Namespaces: []string{"kube-system", "larder"}, Owners: mirror.DefaultOwners()}
	webhook := mirror.Endpoint{Service: mirror.Service{Namespace: "larder", Name: "larder-webhook", Port: 443}}
	t.Run("by default", func(t *testing.T) {
		samePrinted(t, chart(t, "one-pod.yaml"), func() (string, error) { return mirror.Webhook(rules, optOut, webhook) })
	})
	t.Run("with cert-manager's certificate", func(t *testing.T) {
		webhook.InjectCAFrom = "larder/larder-webhook"
		samePrinted(t, chart(t, "cert-manager.yaml"), func() (string, error) { return mirror.Webhook(rules, optOut, webhook) })
	})
	rules.Caches["quay.io"] = "quay"
	optOut = mirror.OptOut{Annotations: []string{"example.com/cache"}, Namespaces: []string{"kube-*", "larder"}, Owners: []string{"Database.example.com"}}
	made := chart(t, "ways-in.yaml")
	pods := mirror.Pods{Namespace: "larder", Image: "registry.example.com/platform/larder:0.1.0-dev", CA: "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"}
	t.Run("a policy", func(t *testing.T) {
		samePrinted(t, made, func() (string, error) { return mirror.Policy(rules, optOut, "larder") })
	})
	t.Run("its watcher", func(t *testing.T) {
		pods.URL = "http://larder.larder.svc"
		samePrinted(t, made, func() (string, error) { return mirror.Watcher(pods) })
	})
	t.Run("node mirrors", func(t *testing.T) {
		pods.URL = "https://registry.example.com"
		samePrinted(t, made, func() (string, error) { return mirror.NodeMirrors(pods, rules) })
	})
}

// samePrinted looks in what the chart makes for each object that Larder prints.
func samePrinted(t *testing.T, made string, form func() (string, error)) {
	t.Helper()
	printed, err := form()
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.SplitSeq(printed, "\n---\n") {
		var want map[string]any
		if err := yaml.Unmarshal([]byte(text+"\n"), &want); err != nil { // the split took it
			t.Fatal(err)
		}
		metadata := at(t, want, "metadata")
		name := metadata["name"]
		all := documents(t, made, want["kind"].(string))
		found := slices.IndexFunc(all, func(object map[string]any) bool { return at(t, object, "metadata")["name"] == name })
		if found < 0 {
			t.Errorf("the chart makes no %s %s", want["kind"], name)
			continue
		}
		got := all[found]
		labels := at(t, got, "metadata", "labels")
		for label, value := range metadata["labels"].(map[string]any) {
			if labels[label] != value {
				t.Errorf("%s %s: the label %s is not %s", want["kind"], name, label, value)
			}
		}
		if diff := cmp.Diff(noted(t, want), noted(t, got)); diff != "" {
			t.Errorf("%s %s: the rules that larder kube off reads (-printed +chart):\n%s", want["kind"], name, diff)
		}
		withoutChartsOwn(t, want)
		withoutChartsOwn(t, got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (-printed +chart):\n%s", want["kind"], name, diff)
		}
	}
}

// noted are the rules that an object says it follows.
func noted(t *testing.T, object map[string]any) (all []any) {
	t.Helper()
	annotations, _ := at(t, object, "metadata")["annotations"].(map[string]any)
	if annotations[mirror.NoteKey] == nil {
		return nil
	}
	injected := annotations[mirror.InjectCAFrom]
	rules, optOut, err := mirror.ReadNote(annotations[mirror.NoteKey].(string))
	if err != nil {
		t.Fatal(err)
	}
	return []any{rules, optOut, injected}
}

// withoutChartsOwn takes away what is compared otherwise, and what only the chart's values say.
func withoutChartsOwn(t *testing.T, object map[string]any) {
	t.Helper()
	delete(at(t, object, "metadata"), "labels")
	delete(at(t, object, "metadata"), "annotations")
	if kind := object["kind"]; kind == "Deployment" || kind == "DaemonSet" {
		pod := at(t, object, "spec", "template", "spec")
		delete(pod, "imagePullSecrets")
		delete(pod["containers"].([]any)[0].(map[string]any), "imagePullPolicy")
	}
}

func TestTheChartGivesTheRightsOfTheShippedFiles(t *testing.T) {
	rights := func(stream string) map[string]any {
		all := map[string]any{}
		for _, role := range documents(t, stream, "ClusterRole") {
			all[at(t, role, "metadata")["name"].(string)] = role["rules"]
		}
		return all
	}
	got := rights(chart(t, "replicas.yaml"))
	for _, file := range []string{"pull-secrets.yaml", "image-triggers.yaml"} {
		want := rights(read(t, shippedFile(t, file)))
		if len(want) != 2 {
			t.Errorf("%s has %d roles", file, len(want))
		}
		for name, rules := range want {
			if diff := cmp.Diff(rules, got[name]); diff != "" {
				t.Errorf("%s of %s (-file +chart):\n%s", name, file, diff)
			}
		}
	}
}

// at is the object at a path of another one.
func at(t *testing.T, object map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		next, ok := object[name].(map[string]any)
		if !ok {
			t.Fatalf("there is no %s in %v", name, object)
		}
		object = next
	}
	return object
}

func yamlOf(t *testing.T, object any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package helmchart_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/helmchart"
)

// byHelm holds values, and what Helm makes of them; a test of the real clients renews that.
const byHelm = "../../test/e2e/testdata/chart"

func render(t *testing.T, service, values string) (string, error) {
	t.Helper()
	given, err := helmchart.ParseValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	return helmchart.Render(helmchart.Release{Name: "larder", Namespace: "larder", Service: service, Kubernetes: "1.36.0"}, given)
}

func TestTheChartBecomesWhatHelmMakesOfIt(t *testing.T) {
	written, err := filepath.Glob(byHelm + "/golden/*.yaml")
	if err != nil || len(written) == 0 {
		t.Fatalf("there is nothing to compare with: %v", err)
	}
	for _, name := range written {
		t.Run(filepath.Base(name), func(t *testing.T) {
			values, err := os.ReadFile(filepath.Join(byHelm, filepath.Base(name)))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := render(t, "Helm", string(values))
			if err != nil {
				t.Fatal(err)
			}
			got = regexp.MustCompile(`(?m)^  password: .+$`).ReplaceAllString(got, "  password: ZHJhd24=")
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-helm +got:\n%s", diff)
			}
		})
	}
}

func TestWithoutHelmNothingSaysThatItIsHelms(t *testing.T) {
	got, err := render(t, "", "publicURL: https://registry.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "helm.sh") || strings.Contains(got, "managed-by") {
		t.Errorf("there is something of Helm's in\n%s", got)
	}
}

func TestValuesThatDoNotFitAreNamed(t *testing.T) {
	for values, want := range map[string]string{
		"replica: 2":                              "replica",
		"service: {type: Gateway}":                "service.type: ",
		"persistence: {size: much}":               "persistence.size: ",
		"{replicas: x, image: {digest: latest}}":  "image.digest: ",
		"publicURL: registry.example.com":         "publicURL says how clients, pods and nodes call the registry",
		"config: {tls: {selfSigned: true}}":       "config.tls: the chart decides it by its own values",
		"replicas: 2":                             "set database.existingSecret and storage.url, or replicas to 1",
		"policy: {enabled: true, watcher: false}": "watcher",
	} {
		base := "publicURL: https://registry.example.com\n"
		if strings.Contains(values, "publicURL") || strings.HasPrefix(values, "{") {
			base = ""
		}
		if _, err := render(t, "", base+values); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "template") {
			t.Errorf("%s: the error is %v", values, err)
		}
	}
}

func TestValuesAreLaidOverOthers(t *testing.T) {
	below := map[string]any{"a": map[string]any{"x": 1, "y": 2}, "b": 3, "c": []any{4}}
	got := helmchart.Merge(below, map[string]any{"a": map[string]any{"x": 5, "y": nil}, "b": map[string]any{}, "c": []any{}})
	want := map[string]any{"a": map[string]any{"x": 5}, "b": map[string]any{}, "c": []any{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"x": 1, "y": 2}, below["a"]); diff != "" {
		t.Errorf("what lies below was changed:\n%s", diff)
	}
}

func TestWhatIsNoFileOfValuesIsRefused(t *testing.T) {
	for _, text := range []string{"[a]", "a: 1\na: 2", "a: {"} {
		if _, err := helmchart.ParseValues([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "reading values: ") {
			t.Errorf("%q: the error is %v", text, err)
		}
	}
}

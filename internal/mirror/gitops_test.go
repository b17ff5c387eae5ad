package mirror_test

import (
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/larder-registry/larder/internal/mirror"
)

// The rules name what is changed in a cluster after it was applied, by the names that it has.
func TestTheRulesForGitOpsNameWhatIsChanged(t *testing.T) {
	text, err := os.ReadFile("../../deploy/gitops/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var settings struct{ Data map[string]string }
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	const prefix = "resource.customizations.ignoreDifferences."
	for kind, changed := range map[string][]string{
		"Pod":       {".spec.containers[]?.image", ".spec.initContainers[]?.image", ".spec.volumes[]?.image.reference", `"` + mirror.OriginalImages + `"`},
		"ConfigMap": {`"` + mirror.SwitchName + `"`, ".data." + mirror.SwitchKey},
		"admissionregistration.k8s.io_MutatingWebhookConfiguration": {`"` + mirror.WebhookName + `"`, "caBundle", "namespaceSelector"},
	} {
		var rule struct {
			JQPathExpressions []string `yaml:"jqPathExpressions"`
		}
		if err := yaml.Unmarshal([]byte(settings.Data[prefix+kind]), &rule); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(rule.JQPathExpressions, "\n")
		for _, want := range changed {
			if !strings.Contains(all, want) {
				t.Errorf("the rule for %s does not name %s:\n%s", kind, want, all)
			}
		}
	}
	flux, err := os.ReadFile("../../deploy/gitops/flux-kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		Spec struct {
			Patches []struct {
				Target struct{ Kind, Name string }
				Patch  string
			}
		}
	}
	if err := yaml.Unmarshal(flux, &kustomization); err != nil {
		t.Fatal(err)
	}
	for _, p := range kustomization.Spec.Patches {
		if !strings.Contains(p.Patch, "kind: "+p.Target.Kind) || !strings.Contains(p.Patch, "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent") {
			t.Errorf("the patch of %s is\n%s", p.Target.Kind, p.Patch)
		}
	}
	if n := len(kustomization.Spec.Patches); n != 2 || kustomization.Spec.Patches[1].Target.Name != mirror.SwitchName {
		t.Errorf("there are %d patches", n)
	}
}

package gitops_test

import (
	"encoding/json"
	"testing"

	"github.com/larder-registry/larder/internal/testkit/gitops"
)

// `make tools` runs this test alone, so that building is not part of what is measured later.
func TestTheProgramsAreBuilt(t *testing.T) {
	if _, err := gitops.Program(); err != nil {
		t.Fatal(err)
	}
}

func TestADifferenceIsSeenUnlessItIsIgnored(t *testing.T) {
	pod := func(image string) json.RawMessage {
		return json.RawMessage(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"app","image":"` + image + `"}]}}`)
	}
	for name, tt := range map[string]struct {
		comparison gitops.Comparison
		modified   bool
	}{
		"nothing differs":                     {gitops.Comparison{Desired: pod("a"), Live: pod("a")}, false},
		"an image differs":                    {gitops.Comparison{Desired: pod("a"), Live: pod("b")}, true},
		"images are ignored":                  {gitops.Comparison{Desired: pod("a"), Live: pod("b"), Ignored: []string{".spec.containers[]?.image"}}, false},
		"something else is ignored":           {gitops.Comparison{Desired: pod("a"), Live: pod("b"), Ignored: []string{".spec.volumes[]?.image.reference"}}, true},
		"the cluster would change nothing":    {gitops.Comparison{Desired: pod("a"), Live: pod("b"), DryRun: pod("b")}, false},
		"the cluster would change the image":  {gitops.Comparison{Desired: pod("a"), Live: pod("b"), DryRun: pod("a")}, true},
		"the cluster would, which is ignored": {gitops.Comparison{Desired: pod("a"), Live: pod("b"), DryRun: pod("a"), Ignored: []string{".spec.containers[]?.image"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := gitops.Compare(t.Context(), tt.comparison)
			if err != nil {
				t.Fatal(err)
			}
			if got.Modified != tt.modified {
				t.Errorf("modified is %t:\n%s\n%s", got.Modified, got.Live, got.Predicted)
			}
		})
	}
	if _, err := gitops.Compare(t.Context(), gitops.Comparison{Desired: pod("a"), Live: pod("a"), Ignored: []string{"]"}}); err == nil {
		t.Error("an expression that is none is taken")
	}
}

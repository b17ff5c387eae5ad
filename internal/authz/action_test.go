package authz

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"testing"
)

func TestAnActionIsAVerbAndAResource(t *testing.T) {
	for action, want := range map[Action][2]string{
		Pull: {"get", "imagestreams/layers"}, Push: {"update", "imagestreams/layers"}, Delete: {"delete", "imagestreams"},
		Metrics: {"get", "registry/metrics"}, "get": {"get", ""}, "": {},
	} {
		if got := [2]string{action.Verb(), action.Resource()}; got != want {
			t.Errorf("%q is %q", action, got)
		}
	}
}

func TestAllActionsAreLookedUpInATable(t *testing.T) {
	source, err := os.ReadFile("action.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "action.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []Action
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if value, ok := spec.Values[0].(*ast.BasicLit); ok {
			if text, err := strconv.Unquote(value.Value); err == nil {
				declared = append(declared, Action(text))
			}
		}
		return true
	})
	listed := decided()
	slices.Sort(declared)
	slices.Sort(listed)
	if len(declared) < 20 || !slices.Equal(declared, listed) {
		t.Errorf("declared are\n%q, listed are\n%q", declared, listed)
	}
}

func TestResourcesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string][2]string{
		"imagestreams.image.openshift.io/layers": {"image.openshift.io", "imagestreams/layers"},
		"imagestreams/layers":                    {"image.openshift.io", "imagestreams/layers"},
		"is":                                     {"image.openshift.io", "imagestreams"},
		"rolebinding":                            {"rbac.authorization.k8s.io", "rolebindings"},
		"deployments.apps":                       {"apps", "deployments"},
		"widgets":                                {"", "widgets"},
		"*":                                      {"", "*"},
		"":                                       {"", ""},
	} {
		group, resource := ParseResource(text)
		if got := [2]string{group, resource}; got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
}

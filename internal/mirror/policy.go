package mirror

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/larder-registry/larder/deploy/charts"
)

// cacheOf is one entry of Rules.Caches.
type cacheOf struct{ Registry, Project string }

// Policy is the rules as a MutatingAdmissionPolicy (admissionregistration.k8s.io/v1) in
// YAML, with its binding, and a ConfigMap in the namespace that turns it off.
func Policy(r Rules, o OptOut, namespace string) (string, error) {
	rules := map[string]any{
		"Host": r.Host, "Caches": r.caches(), "MaxName": maxName,
		"Namespace": namespace, "Namespaces": namespacesForm(o.Namespaces), "Owners": o.Owners,
		"Annotations": o.keys(), "Label": OptOutKey, "Disabled": Disabled, "OwnSecret": OwnSecret,
		"Switch": SwitchName, "Enabled": On, "On": On, "Labels": labels, "NoteKey": NoteKey, "Note": note(r, o),
	}
	return form("policy", rules)
}

// caches are in the order of their registries.
func (r Rules) caches() []cacheOf {
	var all []cacheOf
	for _, registry := range slices.Sorted(maps.Keys(r.Caches)) {
		all = append(all, cacheOf{registry, r.Caches[registry]})
	}
	return all
}

// namespacesForm is a regular expression for all names that the patterns stand for.
func namespacesForm(patterns []string) string {
	var forms []string
	for _, pattern := range patterns {
		forms = append(forms, strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`))
	}
	if len(forms) == 0 {
		return "^$" // no namespace's name is empty
	}
	return "^(" + strings.Join(forms, "|") + ")$"
}

// form fills one of the chart's files. Its quote writes a text as YAML, CEL and JSON read it
// alike.
func form(name string, values map[string]any) (string, error) {
	file := name + ".yaml.tmpl"
	parsed, err := template.New(file).Funcs(template.FuncMap{"quote": strconv.Quote}).ParseFS(charts.Files(), "larder/files/"+file)
	if err != nil {
		return "", fmt.Errorf("reading the form of the %s: %w", name, err)
	}
	text := &strings.Builder{}
	if err := parsed.Execute(text, values); err != nil {
		return "", fmt.Errorf("writing the %s: %w", name, err)
	}
	return text.String(), nil
}

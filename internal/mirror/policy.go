package mirror

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// The grammar of a reference without its registry, as the library distribution/reference
// and the digests that it knows have it, in the syntax that RE2 and CEL share.
const (
	component = `[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*`
	tag       = `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
	digests   = `(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})`

	remainder = `^` + component + `(?:/` + component + `)*(?::` + tag + `)?(?:@` + digests + `)?$`
)

//go:embed policy.yaml.tmpl
var policyText string

// cacheOf is one entry of Rules.Caches.
type cacheOf struct{ Registry, Project string }

// Policy is the rules as a MutatingAdmissionPolicy (admissionregistration.k8s.io/v1) in
// YAML, with its binding, and a ConfigMap in the namespace that turns it off.
func Policy(r Rules, o OptOut, namespace string) (string, error) {
	rules := map[string]any{
		"Host": r.Host, "Prefix": r.Host + "/", "Caches": r.caches(), "MaxName": maxName, "Reference": remainder,
		"Namespace": namespace, "Namespaces": namespacesForm(o.Namespaces), "Owners": o.Owners,
		"Annotations": o.keys(), "Label": OptOutKey, "Disabled": Disabled, "OwnSecret": OwnSecret,
		"Switch": SwitchName, "On": On, "Labels": labels, "NoteKey": NoteKey, "Note": note(r, o),
	}
	text := &strings.Builder{}
	if err := forms("policy", policyText).Execute(text, rules); err != nil {
		return "", fmt.Errorf("writing the policy: %w", err)
	}
	return text.String(), nil
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

// forms parses a template of this package. Its quote writes a text as YAML, CEL and JSON
// read it alike.
func forms(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"quote": strconv.Quote, "join": strings.Join}).Parse(text))
}

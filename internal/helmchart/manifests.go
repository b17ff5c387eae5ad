package helmchart

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// manifest is one object, as text.
type manifest struct{ file, kind, text string }

var separator = regexp.MustCompile(`(?m)^---[ \t]*`)

// appendManifests adds what a template has made.
func appendManifests(made []manifest, file, text string) ([]manifest, error) {
	for _, part := range separator.Split(strings.TrimLeftFunc(text, unicode.IsSpace), -1) {
		part = strings.TrimLeftFunc(part, unicode.IsSpace)
		if part == "" {
			continue
		}
		var object struct{ Kind string }
		if err := yaml.Unmarshal([]byte(part), &object); err != nil {
			return nil, fmt.Errorf("%s makes what is no YAML: %w", file, err)
		}
		if object.Kind != "" {
			made = append(made, manifest{file, object.Kind, part})
		}
	}
	return made, nil
}

// order is that in which a cluster is to get objects, as Helm has it; other kinds come last.
func order() []string {
	return []string{
		"NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim",
		"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "DaemonSet", "Deployment", "Ingress", "MutatingWebhookConfiguration",
	}
}

func stream(made []manifest) string {
	kinds := order()
	place := func(m manifest) int {
		if at := slices.Index(kinds, m.kind); at >= 0 {
			return at
		}
		return len(kinds)
	}
	slices.SortStableFunc(made, func(a, b manifest) int {
		if place(a) == place(b) && place(a) == len(kinds) {
			return cmp.Compare(a.kind, b.kind)
		}
		return cmp.Compare(place(a), place(b))
	})
	text := &strings.Builder{}
	for _, m := range made {
		fmt.Fprintf(text, "---\n# Source: %s\n%s\n", m.file, m.text)
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}

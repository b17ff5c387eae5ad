package helmchart

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"

	"github.com/larder-registry/larder/deploy/charts"
)

// maxDepth bounds how deep templates may include each other.
const maxDepth = 100

// templateSet are the chart's templates.
type templateSet struct {
	parsed *template.Template
	// files are the names of those that make something, in the order of the alphabet.
	files []string
	depth int
}

func templates() (*templateSet, error) {
	t := &templateSet{}
	t.parsed = template.New(folder).Option("missingkey=zero").Funcs(t.functions())
	names, err := fs.Glob(charts.Files(), folder+"/templates/*")
	if err != nil {
		return nil, fmt.Errorf("listing the chart's templates: %w", err)
	}
	for _, name := range names {
		text, err := read(strings.TrimPrefix(name, folder+"/"))
		if err != nil {
			return nil, err
		}
		if _, err := t.parsed.New(name).Parse(string(text)); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		if path.Ext(name) == ".yaml" {
			t.files = append(t.files, name)
		}
	}
	return t, nil
}

// refusal is what the chart itself says of values that do not fit.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func (t *templateSet) execute(name string, context any) (string, error) {
	if t.depth == maxDepth {
		return "", fmt.Errorf("%s: templates include each other without an end", name)
	}
	t.depth++
	defer func() { t.depth-- }()
	text := &strings.Builder{}
	err := t.parsed.ExecuteTemplate(text, name, context)
	var refused *refusal
	if errors.As(err, &refused) {
		return "", refused
	}
	if err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	return strings.ReplaceAll(text.String(), "<no value>", ""), nil
}

// inline is Helm's tpl: a text of the chart's files is a template, too.
func (t *templateSet) inline(text string, context any) (string, error) {
	clone, err := t.parsed.Clone()
	if err != nil {
		return "", err
	}
	if _, err := clone.New("a file").Parse(text); err != nil {
		return "", err
	}
	return (&templateSet{parsed: clone, depth: t.depth}).execute("a file", context)
}

// functions are those of Helm's that the chart uses.
func (t *templateSet) functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	delete(all, "env")
	delete(all, "expandenv")
	maps.Copy(all, template.FuncMap{
		"include": t.execute, "tpl": t.inline,
		"toYaml": func(value any) (string, error) {
			text, err := yaml.Marshal(value)
			return strings.TrimSuffix(string(text), "\n"), err
		},
		"fromYaml":      decoded[map[string]any](func(text []byte, to any) error { return yaml.Unmarshal(text, to) }),
		"fromYamlArray": decoded[[]any](func(text []byte, to any) error { return yaml.Unmarshal(text, to) }),
		"fromJson":      decoded[map[string]any](json.Unmarshal),
		"toJson": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
		"fail": func(text string) (string, error) { return "", &refusal{text} },
		// No cluster is asked.
		"lookup": func(string, string, string, string) map[string]any { return map[string]any{} },
	})
	return all
}

func decoded[T any](decode func([]byte, any) error) func(string) (T, error) {
	return func(text string) (value T, err error) {
		err = decode([]byte(text), &value)
		return value, err
	}
}

package helmchart

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/larder-registry/larder/deploy/charts"
)

const folder = "larder"

// Release says for whom the chart is rendered.
type Release struct {
	// Name and Namespace are the release's.
	Name      string
	Namespace string
	// Service is who manages what is made: Helm, or nobody.
	Service string
	// Kubernetes is the version of the cluster, as in 1.36.0.
	Kubernetes string
}

// Meta is what the chart says of itself.
type Meta struct {
	Name       string `json:"name"`
	Version    string `json:"version"`
	AppVersion string `json:"appVersion"`
}

// Describe reads what the chart says of itself.
func Describe() (Meta, error) {
	var m Meta
	return m, parse("Chart.yaml", &m)
}

// ParseValues reads a file of values.
func ParseValues(text []byte) (map[string]any, error) {
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return nil, fmt.Errorf("reading values: %w", err)
	}
	return values, nil
}

// Merge lays values over others, which it leaves as they are. As in Helm, a null takes a
// value away.
func Merge(below, above map[string]any) map[string]any {
	merged := map[string]any{}
	for key, value := range below {
		merged[key] = value
	}
	for key, value := range above {
		inner, isMap := value.(map[string]any)
		under, wasMap := merged[key].(map[string]any)
		switch {
		case value == nil:
			delete(merged, key)
		case isMap && wasMap:
			merged[key] = Merge(under, inner)
		default:
			merged[key] = value
		}
	}
	return merged
}

// Render is what the chart makes of values, in YAML, in the order in which a cluster takes it.
// The error names the value that the chart does not know, or that does not fit.
func Render(r Release, values map[string]any) (string, error) {
	defaults := map[string]any{}
	if err := parse("values.yaml", &defaults); err != nil {
		return "", err
	}
	values = Merge(defaults, values)
	if err := check(values); err != nil {
		return "", err
	}
	meta, err := Describe()
	if err != nil {
		return "", err
	}
	t, err := templates()
	if err != nil {
		return "", err
	}
	context := map[string]any{
		"Values": values, "Chart": meta, "Release": r, "Files": files{},
		"Capabilities": map[string]any{"KubeVersion": map[string]any{"Version": "v" + r.Kubernetes}},
	}
	var made []manifest
	for _, file := range t.files {
		text, err := t.execute(file, context)
		if err != nil {
			return "", err
		}
		if made, err = appendManifests(made, file, text); err != nil {
			return "", err
		}
	}
	return stream(made), nil
}

// files are the chart's own, for its templates.
type files struct{}

// Get is the text of a file.
func (files) Get(name string) (string, error) {
	text, err := read(name)
	return string(text), err
}

func read(name string) ([]byte, error) {
	text, err := fs.ReadFile(charts.Files(), path.Join(folder, name))
	if err != nil {
		return nil, fmt.Errorf("reading the chart: %w", err)
	}
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), nil
}

func parse(name string, to any) error {
	text, err := read(name)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, to); err != nil {
		return fmt.Errorf("reading %s of the chart: %w", strings.TrimPrefix(name, "/"), err)
	}
	return nil
}

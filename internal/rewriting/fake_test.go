package rewriting_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/larder-registry/larder/internal/kube"
)

// fake is a cluster that keeps objects by their paths, and knows no selectors.
type fake struct {
	t       *testing.T
	objects map[string]string
	deleted []string
}

// newFake has objects in YAML by their paths.
func newFake(t *testing.T, objects map[string]string) *fake {
	t.Helper()
	f := &fake{t: t, objects: map[string]string{}}
	for path, text := range objects {
		object, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		f.objects[path] = string(object)
	}
	return f
}

func (f *fake) Get(_ context.Context, path string, into any) error {
	object, is := f.objects[path]
	if !is {
		return fmt.Errorf("%s: %w", path, kube.ErrNoObject)
	}
	return json.Unmarshal([]byte(object), into)
}

func (f *fake) List(_ context.Context, path string, each func(json.RawMessage) error) error {
	list, query, _ := strings.Cut(path, "?")
	kind := list[strings.LastIndex(list, "/"):]
	group := strings.TrimSuffix(list, kind)
	for at, object := range f.objects {
		if !strings.HasPrefix(at, group) || !strings.Contains(at, kind+"/") {
			continue
		}
		if label, is := strings.CutPrefix(query, "labelSelector="); is && !hasLabels(object, label) {
			continue
		}
		if err := each(json.RawMessage(object)); err != nil {
			return err
		}
	}
	return nil
}

// hasLabels tells whether an object has all the labels.
func hasLabels(object, selector string) bool {
	var read struct {
		Metadata struct{ Labels map[string]string }
	}
	if json.Unmarshal([]byte(object), &read) != nil {
		return false
	}
	for want := range strings.SplitSeq(selector, ",") {
		key, value, _ := strings.Cut(want, "=")
		if read.Metadata.Labels[key] != value {
			return false
		}
	}
	return true
}

func (f *fake) Create(_ context.Context, path string, object, _ any) error {
	text, err := json.Marshal(object)
	var read struct{ Metadata struct{ Name string } }
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	f.objects[path+"/"+read.Metadata.Name] = string(text)
	return err
}

func (f *fake) Merge(_ context.Context, path string, patch, _ any) error {
	var was, is map[string]any
	text, err := json.Marshal(patch)
	if err == nil {
		err = json.Unmarshal([]byte(f.objects[path]), &was)
	}
	if err == nil {
		err = json.Unmarshal(text, &is)
	}
	if err != nil {
		return err
	}
	for key, value := range is {
		if key != "metadata" {
			was[key] = value
		}
	}
	text, err = json.Marshal(was)
	f.objects[path] = string(text)
	return err
}

func (f *fake) Delete(_ context.Context, path string) error {
	if _, is := f.objects[path]; !is {
		return kube.ErrNoObject
	}
	delete(f.objects, path)
	f.deleted = append(f.deleted, path)
	return nil
}

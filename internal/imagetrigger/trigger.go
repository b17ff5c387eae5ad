package imagetrigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	// Annotation holds a list of triggers in JSON.
	Annotation = "image.openshift.io/triggers"
	// kindTag is the one kind of source that there is.
	kindTag = "ImageStreamTag"
	// maxTriggers bounds the triggers of one workload.
	maxTriggers = 64
)

// Trigger has one container of a workload follow a tag.
type Trigger struct {
	From Source `json:"from"`
	// FieldPath says where the image is, as in
	// spec.template.spec.containers[?(@.name=="web")].image.
	FieldPath string `json:"fieldPath"`
	// Paused triggers change nothing.
	Paused Paused `json:"paused,omitempty"`
}

// Source is what is followed.
type Source struct {
	Kind string `json:"kind"`
	// Name is REPOSITORY:TAG, without the project.
	Name string `json:"name"`
	// Namespace is the project; empty: the one that is called like the workload's namespace.
	Namespace string `json:"namespace,omitempty"`
}

// Paused is true or false; OpenShift's own tools also write them as texts.
type Paused bool

// UnmarshalJSON implements json.Unmarshaler.
func (p *Paused) UnmarshalJSON(text []byte) error {
	is, err := strconv.ParseBool(strings.Trim(string(text), `"`))
	if err != nil {
		return fmt.Errorf("paused %.20s is neither true nor false", text)
	}
	*p = Paused(is)
	return nil
}

// Parse reads an annotation. The empty one has no triggers.
func Parse(annotation string) (all []Trigger, err error) {
	if annotation == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(annotation), &all); err != nil {
		return nil, fmt.Errorf("the annotation %s is no list of triggers: %w", Annotation, err)
	}
	if len(all) > maxTriggers {
		return nil, fmt.Errorf("the annotation %s has %d triggers, and %d is the most", Annotation, len(all), maxTriggers)
	}
	return all, nil
}

// Format is what Parse reads.
func Format(all []Trigger) (string, error) {
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("writing triggers down: %w", err)
	}
	return string(text), nil
}

// Tag is the tag that a trigger of a workload in a namespace follows.
func (t Trigger) Tag(namespace string) (repository oci.Repository, tag string, err error) {
	project := t.From.Namespace
	if project == "" {
		project = namespace
	}
	name, tag, tagged := strings.Cut(t.From.Name, ":")
	if t.From.Kind != kindTag || !tagged {
		return "", "", fmt.Errorf("a trigger follows %.40q %.300q: it has to be an %s with the name REPOSITORY:TAG", t.From.Kind, t.From.Name, kindTag)
	}
	if repository, err = oci.ParseRepository(project + "/" + name); err != nil {
		return "", "", fmt.Errorf("a trigger follows %.300q: %w", t.From.Name, err)
	}
	if err := oci.CheckTag(tag); err != nil {
		return "", "", fmt.Errorf("a trigger follows %.300q: %w", t.From.Name, err)
	}
	return repository, tag, nil
}

// Follow is the trigger of a container.
func Follow(kind Kind, source Source, container string, initial bool) Trigger {
	list := "containers"
	if initial {
		list = "initContainers"
	}
	source.Kind = kindTag
	return Trigger{From: source, FieldPath: kind.template + "." + list + `[?(@.name=="` + container + `")].image`}
}

// fieldPath is the form of a path: the template's place, the list, and the container by its
// name or by its number.
var fieldPath = regexp.MustCompile(`^([a-zA-Z.]+)\.(containers|initContainers)\[(?:\?\(@\.name==["']([a-z0-9-]{1,63})["']\)|([0-9]{1,3}))\]\.image$`)

// errField says that a trigger's container cannot be found.
var errField = errors.New("no container of the workload is meant")

// Container finds the container that a trigger sets: in which list it is, and where.
func (t Trigger) Container(w Workload) (list string, at int, err error) {
	found := fieldPath.FindStringSubmatch(t.FieldPath)
	if found == nil || found[1] != w.Kind.template {
		return "", 0, fmt.Errorf("%w by the fieldPath %.200q: write it like %s", errField, t.FieldPath, Follow(w.Kind, Source{}, "web", false).FieldPath)
	}
	all := w.Containers(found[2])
	if found[4] != "" {
		at, err = strconv.Atoi(found[4])
		if err != nil || at >= len(all) {
			return "", 0, fmt.Errorf("%w by the fieldPath %.200q: it has %d", errField, t.FieldPath, len(all))
		}
		return found[2], at, nil
	}
	for at, c := range all {
		if c.Name == found[3] {
			return found[2], at, nil
		}
	}
	return "", 0, fmt.Errorf("%w by the name %s in %s", errField, found[3], found[2])
}

package mirror

import (
	"encoding/json"
	"fmt"
)

// What is installed in a cluster by this package's forms is known by these labels.
const (
	// Selector is for the labels of all of it.
	Selector = "app.kubernetes.io/part-of=larder,app.kubernetes.io/component=rewriting"

	labels = "{app.kubernetes.io/part-of: larder, app.kubernetes.io/component: rewriting}"
)

// Labels are those of all of it.
func Labels() map[string]string {
	return map[string]string{"app.kubernetes.io/part-of": "larder", "app.kubernetes.io/component": "rewriting"}
}

// The ConfigMap by which the policy is turned off, and what its key enabled says. Whatever
// is not On means off, so that the watcher never turns on what somebody has turned off.
const (
	// SwitchName is the ConfigMap's.
	SwitchName = "larder-rewriting"
	// SwitchKey is the key of its data.
	SwitchKey = "enabled"
	// On lets the policy rewrite.
	On = "true"
	// Off was said by somebody.
	Off = "false"
	// Unready was said by the watcher, which says On again.
	Unready = "unready"
)

// NoteKey is the annotation of a policy and of a webhook's configuration that says which
// rules they follow, so that this can be known where Larder itself does not answer.
const NoteKey = "larder.dev/rules"

// noteForm is what that annotation says.
type noteForm struct {
	Host   string            `json:"host"`
	Caches map[string]string `json:"caches"`
	OptOut struct {
		Annotations []string `json:"annotations,omitempty"`
		Namespaces  []string `json:"namespaces,omitempty"`
		Owners      []string `json:"owners,omitempty"`
	} `json:"optOut"`
}

func note(r Rules, o OptOut) string {
	n := noteForm{Host: r.Host, Caches: r.Caches}
	n.OptOut.Annotations, n.OptOut.Namespaces, n.OptOut.Owners = o.Annotations, o.Namespaces, o.Owners
	text, err := json.Marshal(n)
	if err != nil {
		return "{}" // texts alone are always written
	}
	return string(text)
}

// ReadNote reads the rules that something installed follows.
func ReadNote(text string) (Rules, OptOut, error) {
	var n noteForm
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return Rules{}, OptOut{}, fmt.Errorf("reading the annotation %s: %w", NoteKey, err)
	}
	if n.Host == "" {
		return Rules{}, OptOut{}, fmt.Errorf("reading the annotation %s: it names no host", NoteKey)
	}
	return Rules{Host: n.Host, Caches: n.Caches}, OptOut{Annotations: n.OptOut.Annotations, Namespaces: n.OptOut.Namespaces, Owners: n.OptOut.Owners}, nil
}

package mirror

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// OptOutKey is the annotation of a pod, and the label of a namespace, that leaves
	// images as they are when its value is Disabled.
	OptOutKey = "larder.dev/pull-through-cache"
	// Disabled is the value that opts out.
	Disabled = "disabled"
	// OwnSecret begins the names of pull secrets that are for Larder: a pod that has no
	// others brings no credentials for the registries that its images name.
	OwnSecret = "larder-pull"
)

// OptOut says which pods keep the images that they were given.
type OptOut struct {
	// Annotations are keys beside OptOutKey that mean the same, as in
	// "example.com/pull-through-cache".
	Annotations []string
	// Namespaces are names; * stands for any characters, as in kube-*.
	Namespaces []string
	// Owners are kinds of objects, as in Cluster.postgresql.cnpg.io, whose controllers
	// compare the images of their pods with those that they have asked for, and would make
	// the pods anew for ever.
	Owners []string
}

// DefaultOwners are the controllers that are known to compare images.
func DefaultOwners() []string {
	return []string{
		"Cluster.postgresql.cnpg.io",    // CloudNativePG
		"Pooler.postgresql.cnpg.io",     //
		"StrimziPodSet.core.strimzi.io", // Strimzi
	}
}

// Annotated tells whether a pod's annotations opt out.
func (o OptOut) Annotated(annotations map[string]string) bool {
	return slices.ContainsFunc(o.keys(), func(key string) bool { return annotations[key] == Disabled })
}

// keys are all annotations that opt out.
func (o OptOut) keys() []string {
	return append([]string{OptOutKey}, o.Annotations...)
}

// Namespace tells whether all pods of a namespace are left alone.
func (o OptOut) Namespace(name string) bool {
	return slices.ContainsFunc(o.Namespaces, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return matched && err == nil
	})
}

// Owner tells whether the pods of a kind of object are left alone. The version has the form
// GROUP/VERSION, or VERSION alone for the core group.
func (o OptOut) Owner(apiVersion, kind string) bool {
	name := kind
	if group, _, grouped := strings.Cut(apiVersion, "/"); grouped {
		name += "." + group
	}
	return slices.Contains(o.Owners, name)
}

// IsOwnSecret tells by its name whether a pull secret is for Larder.
func IsOwnSecret(name string) bool { return strings.HasPrefix(name, OwnSecret) }

// What a cluster accepts. A key may have a domain before its name.
var (
	keyForm       = regexp.MustCompile(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	namespaceForm = regexp.MustCompile(`^[a-z0-9*-]{1,63}$`)
	kindForm      = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}(\.[a-z0-9.-]{1,253})?$`)
)

// IsAnnotation tells whether a cluster accepts a key for an annotation.
func IsAnnotation(key string) bool { return keyForm.MatchString(key) }

// IsNamespace tells whether a namespace can have the name, or a name that the pattern stands
// for.
func IsNamespace(pattern string) bool { return namespaceForm.MatchString(pattern) }

// IsOwner tells whether a text is a kind of objects, with its group.
func IsOwner(kind string) bool { return kindForm.MatchString(kind) }

package authz

import (
	"encoding/json"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
)

const (
	systemPrefix         = "system:"
	serviceAccountPrefix = "system:serviceaccount:"
	serviceAccountGroups = "system:serviceaccounts"
)

// Subject is whom a binding gives a role to: a user, which a service account is too, or a
// group, by the names that Kubernetes has for them.
type Subject struct {
	Group bool
	Name  string
}

// User is a user or, by its long name, a service account.
func User(name string) Subject { return Subject{Name: name} }

// Group is a group of users.
func Group(name string) Subject { return Subject{Group: true, Name: name} }

// ServiceAccount is the service account of a project.
func ServiceAccount(project, name string) Subject {
	return User(serviceAccountPrefix + project + ":" + name)
}

// String says what the subject is, as in `group devs`.
func (s Subject) String() string {
	if s.Group {
		return "group " + s.Name
	}
	return "user " + s.Name
}

// Meant is the subject that was meant where a group is given as a user, or a user as a
// group; the names that Kubernetes gives tell them apart.
func (s Subject) Meant() Subject {
	switch {
	case s.Name == authn.GroupAuthenticated, s.Name == authn.GroupUnauthenticated, s.Name == authn.GroupMasters,
		s.Name == serviceAccountGroups, strings.HasPrefix(s.Name, serviceAccountGroups+":"):
		return Group(s.Name)
	case s.Name == authn.UserAnonymous, strings.HasPrefix(s.Name, serviceAccountPrefix):
		return User(s.Name)
	}
	return s
}

// rbac is the subject in the words of Kubernetes.
func (s Subject) rbac() rbacv1.Subject {
	if s.Group {
		return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: s.Name}
	}
	if rest, ok := strings.CutPrefix(s.Name, serviceAccountPrefix); ok {
		if project, name, ok := strings.Cut(rest, ":"); ok {
			return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: project, Name: name}
		}
	}
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: s.Name}
}

// subjectOf reads the words of Kubernetes. ok is false for a kind that is not known.
func subjectOf(s rbacv1.Subject) (subject Subject, ok bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return User(s.Name), true
	case rbacv1.GroupKind:
		return Group(s.Name), true
	case rbacv1.ServiceAccountKind:
		return ServiceAccount(s.Namespace, s.Name), true
	}
	return Subject{}, false
}

// parseSubjects reads the subjects of a binding as it is kept. Those of kinds that are not
// known are left out: they are nobody.
func parseSubjects(text string) ([]Subject, error) {
	var all []rbacv1.Subject
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("reading subjects: %w", err)
	}
	subjects := make([]Subject, 0, len(all))
	for _, s := range all {
		if subject, ok := subjectOf(s); ok {
			subjects = append(subjects, subject)
		}
	}
	return subjects, nil
}

func formatSubjects(subjects []Subject) (string, error) {
	all := make([]rbacv1.Subject, 0, len(subjects))
	for _, s := range subjects {
		all = append(all, s.rbac())
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("writing subjects: %w", err)
	}
	return string(text), nil
}

// parseRules reads the rules of a role as it is kept.
func parseRules(text string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	return rules, nil
}

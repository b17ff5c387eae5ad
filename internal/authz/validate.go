package authz

import (
	"strings"
	"unicode"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Bounds of what is kept of one role or binding.
const (
	maxRules    = 100
	maxListed   = 100 // verbs, resources and so on of one rule
	maxSubjects = 1000
	maxName     = 253
	maxWord     = 255 // the longest name of a repository
)

// checkName tells whether a role or a binding can have a name.
func checkName(name string) error {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(":._-", r)
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, bad) || strings.Trim(name, ".") == "" {
		return invalid("%.100q is no name for a role or a binding: it has at most %d letters, digits and : . _ -", name, maxName)
	}
	return nil
}

// checkRules tells whether rules can be kept.
func checkRules(rules []rbacv1.PolicyRule) error {
	if len(rules) == 0 || len(rules) > maxRules {
		return invalid("a role has from 1 to %d rules, and not %d", maxRules, len(rules))
	}
	for _, r := range rules {
		if len(r.NonResourceURLs) > 0 {
			return invalid("a rule names resources: nonResourceURLs mean nothing here")
		}
		if len(r.Verbs) == 0 || len(r.Resources) == 0 || len(r.APIGroups) == 0 {
			return invalid("a rule has verbs, resources and apiGroups: one of them is empty")
		}
		for _, list := range [][]string{r.Verbs, r.Resources, r.APIGroups, r.ResourceNames} {
			if err := checkWords(list); err != nil {
				return err
			}
		}
		for _, name := range r.ResourceNames {
			if name == "" || strings.Contains(name, "*") {
				return invalid("%.100q is no resourceName: it is one repository's, without the project, and has no patterns", name)
			}
		}
	}
	return nil
}

func checkWords(list []string) error {
	if len(list) > maxListed {
		return invalid("a rule lists at most %d verbs, resources, apiGroups or resourceNames, and not %d", maxListed, len(list))
	}
	for _, word := range list {
		if len(word) > maxWord || strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return invalid("%.100q has characters that no verb, resource, apiGroup or resourceName has, or too many of them", word)
		}
	}
	return nil
}

// checkSubjects tells whether subjects can be kept.
func checkSubjects(subjects []Subject) error {
	if len(subjects) == 0 || len(subjects) > maxSubjects {
		return invalid("a binding has from 1 to %d users and groups, and not %d", maxSubjects, len(subjects))
	}
	for _, s := range subjects {
		if s.Name == "" || len(s.Name) > maxName || strings.ContainsFunc(s.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return invalid("%.100q is no name of a user or a group", s.Name)
		}
	}
	return nil
}

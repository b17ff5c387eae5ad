package oci

import (
	"fmt"
	"slices"
	"strings"
)

// maxNameLength is the longest repository name that common clients accept,
// registry host excluded (OCI Distribution 1.1, §Pulling manifests).
const maxNameLength = 255

// Repository is a valid repository name with at least two segments:
// project/name[/more].
type Repository string

// ParseRepository checks s against the grammar of OCI Distribution 1.1, §Pulling
// manifests, and demands a project before the first slash. The error is an *Error
// with NAME_INVALID.
func ParseRepository(s string) (Repository, error) {
	if err := CheckName(s); err != nil {
		return "", err
	}
	if !strings.Contains(s, "/") {
		return "", &Error{
			Code:    CodeNameInvalid,
			Message: fmt.Sprintf("repository %[1]q has no project: write PROJECT/%[1]s, for example demo/%[1]s; Docker Hub's %[1]s is docker-hub/library/%[1]s; if %[1]s is a project, add a repository, as in %[1]s/app", s),
		}
	}
	return Repository(s), nil
}

// CheckName tells whether s follows the grammar of a repository name, whatever
// its number of segments. The error is an *Error with NAME_INVALID.
func CheckName(s string) error {
	if len(s) > maxNameLength {
		return &Error{
			Code:    CodeNameInvalid,
			Message: fmt.Sprintf("repository name of %d characters is too long: the limit is %d", len(s), maxNameLength),
		}
	}
	if !followsGrammar(s) {
		return &Error{
			Code:    CodeNameInvalid,
			Message: fmt.Sprintf("repository name %q is not valid: it is made of lower-case letters, digits, and single . _ - between them, in segments parted by /", s),
		}
	}
	return nil
}

// followsGrammar matches the standard's regular expression for names. It is written out
// because each request has a name: as an expression it takes ten times as long.
func followsGrammar(name string) bool {
	for segment := range strings.SplitSeq(name, "/") {
		if !isSegment(segment) {
			return false
		}
	}
	return true
}

func isSegment(s string) bool {
	last := len(s) - 1
	if last < 0 || !isLowerOrDigit(s[0]) || !isLowerOrDigit(s[last]) {
		return false
	}
	for i := 1; i < last; i++ {
		begin := i
		for !isLowerOrDigit(s[i]) {
			i++
		}
		if begin < i && !isSeparator(s[begin:i]) {
			return false
		}
	}
	return true
}

func isSeparator(s string) bool {
	return s == "." || s == "_" || s == "__" || strings.Trim(s, "-") == ""
}

func isLowerOrDigit(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// Project is the first segment, the unit of ownership.
func (r Repository) Project() string {
	project, _, _ := strings.Cut(string(r), "/")
	return project
}

// Rest is the name without its project: what an upstream calls the repository.
func (r Repository) Rest() string {
	_, rest, _ := strings.Cut(string(r), "/")
	return rest
}

func (r Repository) String() string { return string(r) }

// CheckProject tells whether a project may have that name: one segment of a
// repository's name that is not reserved. The error is an *Error with NAME_INVALID.
func CheckProject(s string) error {
	refuse := func(format string, args ...any) error {
		return &Error{Code: CodeNameInvalid, Message: fmt.Sprintf("project name %q ", clip(s)) + fmt.Sprintf(format, args...)}
	}
	switch {
	case strings.Contains(s, "/"):
		return refuse("has a slash: a project is the first segment of a repository's name, as in demo")
	case CheckName(s) != nil:
		return refuse("is not valid: it is at most %d lower-case letters, digits, and single . _ - between them, as in demo", maxNameLength)
	case slices.Contains(ReservedProjects(), s):
		return refuse("is reserved: choose another name")
	}
	return nil
}

// ReservedProjects are names that no project may have, because paths of Docker Hub's
// API and of Larder's own begin with them.
func ReservedProjects() []string {
	return []string{"repositories", "search", "namespaces", "users", "auth", "access-tokens", "ratelimitpreview"}
}

package oci

import (
	"fmt"
	"regexp"
	"strings"
)

// maxNameLength is the longest repository name that common clients accept,
// registry host excluded (OCI Distribution 1.1, §Pulling manifests).
const maxNameLength = 255

var nameGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

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
			Message: fmt.Sprintf("repository %q has no project: write PROJECT/%s, for example demo/%s, or docker-hub/library/%s for Docker Hub's %s", s, s, s, s, s),
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
	if !nameGrammar.MatchString(s) {
		return &Error{
			Code:    CodeNameInvalid,
			Message: fmt.Sprintf("repository name %q is not valid: it is made of lower-case letters, digits, and single . _ - between them, in segments parted by /", s),
		}
	}
	return nil
}

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

package oci

import (
	"fmt"
	"path"
	"strings"
)

// Bounds of patterns of tags; a tag has 128 characters.
const (
	maxTagPatterns = 100
	maxTagPattern  = 128
)

// TagPatterns are patterns for whole tags, in the form of path.Match: * stands for any
// characters, ? for one, [a-z] for one of those.
type TagPatterns []string

// Check tells whether the patterns can be used. The error says what is allowed, and
// begins as what is called.
func (ps TagPatterns) Check(what string) error {
	if len(ps) > maxTagPatterns {
		return fmt.Errorf("%s has %d patterns: at most %d are allowed", what, len(ps), maxTagPatterns)
	}
	for _, p := range ps {
		_, err := path.Match(p, "")
		if err != nil || p == "" || len(p) > maxTagPattern || strings.Contains(p, "/") {
			return fmt.Errorf("%s has the pattern %.128q: a pattern has 1 to %d characters of a tag's, and * for any characters, ? for one, [a-z] for one of those, as in v* or 1.[0-9]*", what, p, maxTagPattern)
		}
	}
	return nil
}

// Matching finds the first pattern that a tag matches. One that cannot be used matches
// nothing.
func (ps TagPatterns) Matching(tag string) (pattern string, found bool) {
	for _, p := range ps {
		if ok, _ := path.Match(p, tag); ok {
			return p, true
		}
	}
	return "", false
}

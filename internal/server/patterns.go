package server

import (
	"path"
	"slices"
	"strings"
)

// Allows tells whether a repository, by the name that the upstream has for it, may
// be fetched: some pattern of Allow matches it and none of Deny.
//
// A pattern is matched segment by segment as path.Match does it, so that * stands
// for any part of one segment. A last segment of * alone stands for everything
// below, at any depth: * is every repository, library/* all of library.
func (u Upstream) Allows(repository string) bool {
	matches := func(pattern string) bool { return matchRepository(pattern, repository) }
	return slices.ContainsFunc(u.Allow, matches) && !slices.ContainsFunc(u.Deny, matches)
}

func matchRepository(pattern, repository string) bool {
	parts, names := strings.Split(pattern, "/"), strings.Split(repository, "/")
	if last := len(parts) - 1; parts[last] == "*" && len(names) > last {
		parts, names = parts[:last], names[:last]
	}
	if len(parts) != len(names) {
		return false
	}
	for i := range parts {
		if matched, err := path.Match(parts[i], names[i]); err != nil || !matched {
			return false
		}
	}
	return true
}

// parsePattern refuses what could never match a repository, so that a slip in deny
// does not go unnoticed.
func parsePattern(g given) (string, error) {
	for part := range strings.SplitSeq(g.text, "/") {
		if _, err := path.Match(part, ""); err != nil {
			return "", g.errorf("is not a pattern: a [ needs its ], and a \\ a character after it")
		}
		if part == "" || part != strings.ToLower(part) || strings.ContainsAny(part, ": @") {
			return "", g.errorf("matches no repository: write lower-case segments parted by single slashes, without registry or tag, for example library/nginx or acme/*")
		}
	}
	return g.text, nil
}

// qualifyPatterns gives a pattern of one segment the prefix that Docker Hub's
// official images have, as nginx means library/nginx in a pull as well.
func qualifyPatterns(patterns []string) []string {
	var qualified []string
	for _, p := range patterns {
		if p != "*" && !strings.Contains(p, "/") {
			p = "library/" + p
		}
		qualified = append(qualified, p)
	}
	return qualified
}

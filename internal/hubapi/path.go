package hubapi

import (
	"net/url"
	"strings"
)

// what is asked for.
type what int

const (
	aSearch what = iota
	aNamespace
	aRepository
	itsTags
	aTag
)

// Prefixes are the paths that the Handler answers below. They are reserved as names of
// projects.
func Prefixes() []string { return []string{"/v2/repositories/", "/v2/namespaces/", "/v2/search/"} }

// path is a request's path as a value. Repositories here may have several segments.
type path struct {
	what            what
	namespace, name string
	tag             string
}

// parsePath reads an escaped path of one of these forms, with or without a slash at its
// end:
//
//	/v2/search/repositories
//	/v2/repositories/NAMESPACE[/NAME[/tags[/TAG]]]
//	/v2/namespaces/NAMESPACE/repositories[/NAME[/tags[/TAG]]]
func parsePath(escaped string) (path, error) {
	var segments []string
	for s := range strings.SplitSeq(strings.Trim(escaped, "/"), "/") {
		plain, err := url.PathUnescape(s)
		if err != nil || plain == "" || strings.Contains(plain, "/") {
			return path{}, errNotFound
		}
		segments = append(segments, plain)
	}
	if len(segments) < 3 || len(escaped) > maxPath {
		return path{}, errNotFound
	}
	switch rest := segments[2:]; segments[1] {
	case "search":
		if len(rest) == 1 && rest[0] == "repositories" {
			return path{what: aSearch}, nil
		}
	case "repositories":
		return parseRepository(rest[0], rest[1:]), nil
	case "namespaces":
		if len(rest) > 1 && rest[1] == "repositories" {
			return parseRepository(rest[0], rest[2:]), nil
		}
	}
	return path{}, errNotFound
}

// maxPath is longer than any path with a name and a tag of legal length, in bytes.
const maxPath = 2048

func parseRepository(namespace string, rest []string) path {
	n := len(rest)
	name := func(count int) string { return strings.Join(rest[:count], "/") }
	switch {
	case n == 0:
		return path{what: aNamespace, namespace: namespace}
	case n > 1 && rest[n-1] == "tags":
		return path{what: itsTags, namespace: namespace, name: name(n - 1)}
	case n > 2 && rest[n-2] == "tags":
		return path{what: aTag, namespace: namespace, name: name(n - 2), tag: rest[n-1]}
	}
	return path{what: aRepository, namespace: namespace, name: name(n)}
}

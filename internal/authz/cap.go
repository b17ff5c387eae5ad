package authz

import (
	"github.com/larder-registry/larder/internal/authn"
)

// withinCap tells whether the access token that id was found by may be used for an
// action. It is the one place where a cap is kept to.
func withinCap(id authn.Identity, action Action, target Target) bool {
	return id.Cap == nil || id.Cap.Covers(scopeOf(action), target.Project, target.Repository)
}

// scopeOf is the scope that an access token needs for an action.
func scopeOf(action Action) authn.Scope {
	verb := action.Verb()
	switch action.Resource() {
	case "projects":
		if verb == "get" || verb == "list" || verb == "watch" {
			return authn.ScopeRead
		}
	case "imagestreams", "imagestreams/layers", "imagestreamtags":
		switch verb {
		case "get", "list", "watch":
			return authn.ScopeRead
		case "create", "update", "patch":
			return authn.ScopeWrite
		case "delete":
			if action.Resource() != "imagestreams/layers" {
				return authn.ScopeDelete
			}
		}
	case "imagestreamimports":
		if verb == "create" {
			return authn.ScopeWrite
		}
	case "images":
		if verb == "delete" {
			return authn.ScopeDelete
		}
	}
	return authn.ScopeAdmin
}

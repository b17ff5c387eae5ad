package authz

import (
	"context"
	"slices"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// MemberOf picks from projects those that id is a member of: the one that a service
// account belongs to, and those that a user may push to as a whole. Whoever may push to all
// projects is no member of any by that, and strangers are of none. What a token is limited
// to does not matter: it is about who somebody is. An error counts as no.
func MemberOf(ctx context.Context, decide Decide, id authn.Identity, projects []string) []string {
	if len(projects) == 0 || id.Anonymous() {
		return nil
	}
	if project, _, ok := authn.ParseServiceAccount(id.User); ok {
		if slices.Contains(projects, project) {
			return []string{project}
		}
		return nil
	}
	id.Cap = nil
	if all, err := decide(ctx, id, Push, Target{}); err != nil || all {
		return nil
	}
	var found []string
	for _, project := range projects {
		may, err := decide(ctx, id, Push, Target{Project: project, Kind: metadata.Hosted})
		if err == nil && may {
			found = append(found, project)
		}
	}
	return found
}

// Sharer is a cache whose upstream has something for the members of projects.
type Sharer interface {
	// Lenders are the projects that have credentials of their own.
	Lenders() []string
	// Shares are the projects that the pulls are shared out among.
	Shares() []string
}

// Memberships are the projects whose own credentials may be used for id, and those whose
// share of the pulls is id's, where images are those of a Sharer.
func Memberships(ctx context.Context, decide Decide, id authn.Identity, images any) (projects, shares []string) {
	if cache, ok := images.(Sharer); ok {
		projects, shares = MemberOf(ctx, decide, id, cache.Lenders()), MemberOf(ctx, decide, id, cache.Shares())
	}
	return projects, shares
}

// ImportsAsMember tells whether a project's own credentials may be used for what id imports
// into it: id is a member of the project and may import into the whole of it. What a token
// is limited to matters here: one for a single repository does not say which images of the
// upstream may be read.
func ImportsAsMember(ctx context.Context, decide Decide, id authn.Identity, project string) (bool, error) {
	may, err := decide(ctx, id, Import, Target{Project: project, Kind: metadata.Hosted})
	if err != nil || !may {
		return false, err
	}
	asked := func(ctx context.Context, id authn.Identity, action Action, target Target) (may bool, _ error) {
		if err == nil {
			may, err = decide(ctx, id, action, target)
		}
		return may, err
	}
	is := len(MemberOf(ctx, asked, id, []string{project})) > 0
	return is && err == nil, err
}

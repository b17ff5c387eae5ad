package pulllimit

import (
	"net/netip"
	"slices"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// Caller is who pulls.
type Caller struct {
	authn.Identity
	Address netip.Addr
}

// Rules say which limit holds for whom. The zero value limits nobody.
type Rules struct {
	Anonymous     ratelimit.Limit
	Authenticated ratelimit.Limit
	// ServiceAccounts is the limit of service accounts; nil: that of all who are logged in.
	ServiceAccounts *ratelimit.Limit
	// Projects are limits that hold for the images of a project, whoever pulls them, and
	// count these alone.
	Projects map[string]ratelimit.Limit
	// Groups are limits that members have in place of the general ones: the highest, where
	// somebody is in several.
	Groups map[string]ratelimit.Limit
}

// Any tells whether anybody may be limited.
func (r Rules) Any() bool {
	some := func(limits map[string]ratelimit.Limit) bool {
		for _, l := range limits {
			if !l.Unlimited() {
				return true
			}
		}
		return false
	}
	return !r.Anonymous.Unlimited() || !r.Authenticated.Unlimited() ||
		r.ServiceAccounts != nil && !r.ServiceAccounts.Unlimited() || some(r.Projects) || some(r.Groups)
}

// of is the limit of a caller for the images of a project, and what its pulls are counted
// under.
func (r Rules) of(c Caller, project string) (ratelimit.Limit, subject) {
	if l, ok := r.Projects[project]; ok {
		return l, subjectOf(c, project)
	}
	return r.general(c), subjectOf(c, "")
}

// general is the limit of a caller where the project has none of its own.
func (r Rules) general(c Caller) ratelimit.Limit {
	if l, ok := r.ofGroups(c.Groups); ok {
		return l
	}
	switch {
	case c.Anonymous():
		return r.Anonymous
	case r.ServiceAccounts != nil && slices.Contains(c.Groups, authn.GroupServiceAccounts):
		return *r.ServiceAccounts
	}
	return r.Authenticated
}

func (r Rules) ofGroups(groups []string) (highest ratelimit.Limit, found bool) {
	if len(r.Groups) == 0 {
		return ratelimit.Limit{}, false
	}
	for _, group := range groups {
		if l, ok := r.Groups[group]; ok && (!found || l.Above(highest)) {
			highest, found = l, true
		}
	}
	return highest, found
}

// loginHelps tells whether a stranger would have more by logging in.
func (r Rules) loginHelps(c Caller, project string) bool {
	_, own := r.Projects[project]
	return c.Anonymous() && !own && r.Authenticated.Above(r.general(c))
}

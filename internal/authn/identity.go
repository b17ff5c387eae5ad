package authn

import "github.com/larder-registry/larder/internal/oci"

// Names that Kubernetes gives to callers and that Larder shares.
const (
	// UserAnonymous is whoever shows no credentials.
	UserAnonymous = "system:anonymous"
	// UserAdmin is the user made on the first start.
	UserAdmin = "admin"
	// GroupUnauthenticated holds UserAnonymous and nobody else.
	GroupUnauthenticated = "system:unauthenticated"
	// GroupAuthenticated holds everybody who is logged in.
	GroupAuthenticated = "system:authenticated"
	// GroupMasters holds the administrators of the whole registry.
	GroupMasters = "system:masters"
)

// Identity is who a caller is, as Kubernetes RBAC sees subjects.
type Identity struct {
	User   string
	Groups []string
}

// Anonymous is the identity of a caller without credentials.
func Anonymous() Identity {
	return Identity{User: UserAnonymous, Groups: []string{GroupUnauthenticated}}
}

// Anonymous tells whether nobody is logged in; so it is for the zero value.
func (i Identity) Anonymous() bool { return i.User == "" || i.User == UserAnonymous }

// Caller is i as the packages below the protocol know it.
func (i Identity) Caller() oci.Caller {
	if i.Anonymous() {
		return oci.Caller{}
	}
	return oci.Caller{User: i.User}
}

// loggedIn is the identity of a user whose credential has been verified.
func loggedIn(user string) Identity {
	groups := []string{GroupAuthenticated}
	if user == UserAdmin {
		groups = append(groups, GroupMasters)
	}
	return Identity{User: user, Groups: groups}
}

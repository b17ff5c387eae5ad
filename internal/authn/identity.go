package authn

import (
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

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
	// GroupServiceAccounts holds all service accounts.
	GroupServiceAccounts = "system:serviceaccounts"
	// systemPrefix begins the names that no user and no group of people has.
	systemPrefix         = "system:"
	serviceAccountPrefix = "system:serviceaccount:"
)

// Identity is who a caller is, as Kubernetes RBAC sees subjects.
type Identity struct {
	User   string
	Groups []string
	// Cap is what the access token shown is limited to; nil: nothing beyond the user's
	// own rights.
	Cap *Cap
	// UID and Extra are what a cluster says of its users besides. They may narrow what the
	// user may do there.
	UID   string
	Extra map[string][]string
}

// Anonymous is the identity of a caller without credentials.
func Anonymous() Identity {
	return Identity{User: UserAnonymous, Groups: []string{GroupUnauthenticated}}
}

// AnyUser is the identity of somebody who is logged in and of whom no more is known: what
// they may do, everybody who is logged in may. Nobody can have the name.
func AnyUser() Identity {
	return Identity{User: systemPrefix + "any-user", Groups: []string{GroupAuthenticated}}
}

// Anonymous tells whether nobody is logged in; so it is for the zero value.
func (i Identity) Anonymous() bool { return i.User == "" || i.User == UserAnonymous }

// Caller is i as the packages below the protocol know it.
func (i Identity) Caller() oci.Caller {
	if i.Anonymous() {
		return oci.Caller{}
	}
	project, _, _ := ParseServiceAccount(i.User)
	return oci.Caller{User: i.User, Project: project}
}

// ServiceAccount is the user name of a service account.
func ServiceAccount(project, name string) string { return serviceAccountPrefix + project + ":" + name }

// ServiceAccountGroup holds the service accounts of a project.
func ServiceAccountGroup(project string) string { return GroupServiceAccounts + ":" + project }

// ParseServiceAccount takes a service account's user name apart.
func ParseServiceAccount(user string) (project, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, serviceAccountPrefix)
	if !ok {
		return "", "", false
	}
	project, name, ok = strings.Cut(rest, ":")
	return project, name, ok && project != "" && name != ""
}

// loggedIn is the identity of an account whose credential has been verified.
func (a *Authenticator) loggedIn(u metadata.User, limit *Cap) Identity {
	id := IdentityOf(u, a.now())
	id.Cap = limit
	return id
}

// IdentityOf is the identity that an account has when it is logged in at a time without a
// limit.
func IdentityOf(u metadata.User, now time.Time) Identity {
	groups := make([]string, 0, len(u.Groups)+len(u.Claimed)+3)
	groups = append(groups, GroupAuthenticated)
	switch {
	case u.Project != "":
		groups = append(groups, GroupServiceAccounts, ServiceAccountGroup(u.Project))
	case u.Name == UserAdmin && u.Issuer == "":
		groups = append(groups, GroupMasters)
	}
	for _, group := range u.GroupsAt(now) {
		// Groups with such names are given here only, whatever an issuer claims.
		if !strings.HasPrefix(group, systemPrefix) {
			groups = append(groups, group)
		}
	}
	return Identity{User: u.Name, Groups: groups}
}

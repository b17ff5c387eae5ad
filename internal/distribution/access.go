package distribution

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/telemetry"
)

// Authenticator tells who callers are, and issues registry tokens. Its errors are
// authn's when a credential is refused.
type Authenticator interface {
	Basic(ctx context.Context, user, password string, from netip.Addr) (authn.Identity, authn.Credential, error)
	Verify(ctx context.Context, token string) (authn.Identity, []authn.Access, error)
	Issue(ctx context.Context, id authn.Identity, c authn.Credential, access []authn.Access, life time.Duration) (token string, expires time.Time, err error)
}

// Authorizer tells whether a caller may do something.
type Authorizer interface {
	Allowed(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error)
	// ForMany decides for a request that asks about many things. Its error is
	// authz.ErrSpent when these are too many.
	ForMany() authz.Decide
	// GrantCommand is the line that gives user the right to do action on target; "" where
	// there is none to give.
	GrantCommand(user string, action authz.Action, target authz.Target) string
}

// ProjectMaker makes projects.
type ProjectMaker interface {
	// MakeProject makes a project that id owns. The error wraps metadata.ErrExists when
	// there is one of that name.
	MakeProject(ctx context.Context, id authn.Identity, p metadata.Project) error
}

// credentials is who asks, and what caps the asking.
type credentials struct {
	identity authn.Identity
	access   []authn.Access
	shown    bool // some credential was shown, be it an anonymous token
	bearer   bool
}

// caller is who asks, as the packages below the protocol know them.
func (h *Handler) caller(x *exchange) oci.Caller {
	caller := x.who.identity.Caller()
	caller.Client = oci.ClientOf(x.address)
	caller.Projects, caller.Shares = x.projects, x.shares
	return caller
}

// lender is a cache whose upstream may be asked with projects' own credentials.
type lender interface {
	// Shows tells whether a repository's name is for a caller who is logged in.
	Shows(ctx context.Context, caller oci.Caller, repo oci.Repository) (bool, error)
}

// shows tells whether a repository that may be pulled has a name for who asks: what only
// projects' own credentials can read is for their members.
func (h *Handler) shows(ctx context.Context, x *exchange, target Target) (bool, error) {
	cache, ok := target.Images.(lender)
	if !ok {
		return true, nil
	}
	caller := x.who.identity.Caller()
	caller.Projects, _ = authz.Memberships(ctx, h.Authorizer.Allowed, x.who.identity, target.Images)
	return cache.Shows(ctx, caller, target.Repository)
}

func (h *Handler) resolve(ctx context.Context, x *exchange) (Target, error) {
	ns := x.r.URL.Query().Get("ns")
	if h.mirror != nil && ns == "" && x.route.name != previewRepository.String() {
		ns = h.mirror.Namespace
	}
	target, err := h.lookUp(ctx, x.route.name, ns)
	if err != nil {
		return Target{}, err
	}
	if target.Kind == metadata.Cache {
		x.tell(oci.Served{Cache: &oci.CacheStatus{}}) // until more is known of the answer
	}
	return target, nil
}

// lookUp finds out what a name means.
func (h *Handler) lookUp(ctx context.Context, name, ns string) (Target, error) {
	if name == previewRepository.String() && ns == "" {
		return h.preview.target(), nil
	}
	return h.Resolver.Resolve(ctx, name, ns)
}

// identify finds out who asks. The error is UNAUTHORIZED for a credential that is
// shown and not good. On the mirror listener everyone is a stranger.
func (h *Handler) identify(ctx context.Context, x *exchange) (who credentials, err error) {
	header := x.r.Header.Get("Authorization")
	if header == "" || h.mirror != nil {
		return credentials{identity: authn.Anonymous(), access: authn.Everything()}, nil
	}
	who = credentials{access: authn.Everything(), shown: true}
	scheme, value, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") {
		who.bearer = true
		who.identity, who.access, err = h.Authenticator.Verify(ctx, strings.TrimSpace(value))
	} else if user, password, ok := authn.BasicAuth(x.r); ok {
		who.identity, _, err = h.Authenticator.Basic(ctx, user, password, x.address)
	} else {
		err = loginNeeded("the Authorization header cannot be read: send Basic or Bearer credentials")
	}
	if err != nil {
		return credentials{shown: true, bearer: who.bearer}, err
	}
	if !who.identity.Anonymous() {
		telemetry.RecordOf(x.w).User = who.identity.User
	}
	return who, nil
}

// authorize decides by the caller's rights first, and by what a token is capped at
// then: so whoever may not gets the reason, and whoever may and asked for too little
// gets a challenge for the rest.
func (h *Handler) authorize(ctx context.Context, x *exchange, need string) error {
	if need == "" {
		return nil
	}
	missing, err := h.missing(ctx, x, need)
	if err == nil && missing != "" && need == authn.ActionPush && x.target.Kind == metadata.Hosted {
		missing, err = h.missingStill(ctx, x, missing)
	}
	if err != nil {
		return err
	}
	if missing != "" || h.keptFrom(x, x.target) {
		return h.refuse(ctx, x, need, missing)
	}
	if !x.covered(need) {
		return loginNeeded("the token does not cover %s: ask for one with that scope", x.scope)
	}
	if need == authn.ActionPush {
		return h.preparePush(ctx, x)
	}
	if x.target.Images == nil {
		x.target.Images = h.Hosted // where there is no project nothing is found
	}
	x.projects, x.shares = authz.Memberships(ctx, h.Authorizer.Allowed, x.who.identity, x.target.Images)
	return nil
}

// object is a target in the words of authz.
func object(target Target) authz.Target {
	return authz.Target{Project: target.Repository.Project(), Repository: target.Repository.String(), Kind: target.Kind}
}

// may asks for a right by the name that it has in token scopes. Where there is no
// project, pushing takes the right to make it. Deleting has two rights, of which one is
// enough for a token's scope.
func may(ctx context.Context, decide authz.Decide, id authn.Identity, need string, target Target) (bool, error) {
	switch {
	case need == authn.ActionPush && target.Kind == "":
		return mayMake(ctx, decide, id, target)
	case need == authn.ActionPull && target.Open:
		return true, nil
	}
	may, err := decide(ctx, id, right(need), object(target))
	if err == nil && !may && need == authn.ActionDelete {
		return decide(ctx, id, authz.DeleteTag, object(target))
	}
	return may, err
}

// mayMake tells whether a push of id may make the project: any project when id may make
// projects of any name, and the one that is called like id when id may have projects.
func mayMake(ctx context.Context, decide authz.Decide, id authn.Identity, target Target) (bool, error) {
	project := authz.Target{Project: target.Repository.Project()}
	anywhere, err := decide(ctx, id, authz.CreateProject, project)
	if err != nil || anywhere || project.Project != id.User {
		return anywhere, err
	}
	return decide(ctx, id, authz.RequestProject, project)
}

// missing is the right that the caller lacks for a request; "" when it is none.
func (h *Handler) missing(ctx context.Context, x *exchange, need string) (authz.Action, error) {
	if need == authn.ActionDelete {
		return h.lacks(ctx, x, x.right(need))
	}
	may, err := may(ctx, h.Authorizer.Allowed, x.who.identity, need, x.target)
	switch {
	case err != nil || !may:
		return x.right(need), err
	case need == authn.ActionPush && x.target.Kind == metadata.Hosted:
		return h.missingForNew(ctx, x)
	}
	return "", nil
}

// missingStill looks once more at what whoever may make the project lacks there: another
// request of the same push may have made it a moment ago, perhaps at another replica, and
// its owner's rights are not in force here yet.
func (h *Handler) missingStill(ctx context.Context, x *exchange, missing authz.Action) (authz.Action, error) {
	if h.Reload == nil || x.who.identity.Anonymous() {
		return missing, nil
	}
	may, err := mayMake(ctx, h.Authorizer.Allowed, x.who.identity, x.target)
	if err != nil || !may {
		return missing, err
	}
	if err := h.Reload(ctx, x.target.Repository.Project()); err != nil {
		return "", err
	}
	return h.missing(ctx, x, authn.ActionPush)
}

// missingForNew is the right that is missing to push to a repository that does not exist:
// that makes it, which is a right of its own. Whoever has it is not looked up for.
func (h *Handler) missingForNew(ctx context.Context, x *exchange) (authz.Action, error) {
	missing, err := h.lacks(ctx, x, authz.CreateRepository)
	if err != nil || missing == "" {
		return "", err
	}
	exists, err := h.Hosted.RepositoryExists(ctx, x.target.Repository)
	if err != nil || exists {
		return "", err
	}
	return missing, nil
}

// lacks is the action, or "" when the caller may do it.
func (h *Handler) lacks(ctx context.Context, x *exchange, action authz.Action) (authz.Action, error) {
	may, err := h.Authorizer.Allowed(ctx, x.who.identity, action, object(x.target))
	if err != nil || !may {
		return action, err
	}
	return "", nil
}

// right is what authz calls what the request does. To remove a tag is less than to remove
// an image.
func (x *exchange) right(need string) authz.Action {
	if need == authn.ActionDelete && x.route.endpoint == endpointManifest && x.route.reference.ByTag() {
		return authz.DeleteTag
	}
	return right(need)
}

// right is what authz calls an action of a token's scope; other words are no right.
func right(need string) authz.Action {
	switch need {
	case authn.ActionPull:
		return authz.Pull
	case authn.ActionPush:
		return authz.Push
	case authn.ActionDelete:
		return authz.Delete
	}
	return ""
}

// keptFrom tells whether the request is a stranger's whose address may not pull from a
// cache project without a login.
func (h *Handler) keptFrom(x *exchange, target Target) bool {
	return x.who.identity.Anonymous() && target.Kind == metadata.Cache && h.Strangers != nil && !h.Strangers(x.r)
}

// covered tells whether the token's cap holds the action, under the name that was
// asked for or the one it was resolved to.
func (x *exchange) covered(need string) bool {
	if authn.Covers(x.who.access, authn.TypeRepository, x.target.Repository.String(), need) {
		return true
	}
	return x.target.Namespace == "" && authn.Covers(x.who.access, authn.TypeRepository, x.route.name, need)
}

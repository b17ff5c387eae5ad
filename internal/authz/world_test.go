package authz_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// world is an authorizer on a real database, of which it is known how often it is asked.
type world struct {
	*authz.Authorizer
	t     testing.TB
	db    *metadata.DB
	asked atomic.Int64 // how often roles or bindings were read
	down  atomic.Bool
	mark  atomic.Uint64
	now   atomic.Int64
	log   strings.Builder
}

func newWorld(t testing.TB, projects ...string) *world {
	t.Helper()
	w := &world{t: t}
	w.now.Store(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC).UnixNano())
	var err error
	if w.db, err = metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	for _, name := range append([]string{"demo", "other"}, projects...) {
		w.must(w.db.Projects.Create(t.Context(), metadata.Project{Name: name, Kind: metadata.Hosted, CreatedAt: w.time()}))
	}
	w.Authorizer = w.open(true)
	return w
}

// open is another authorizer on the same database.
func (w *world) open(selfProvision bool) *authz.Authorizer {
	w.t.Helper()
	a, err := authz.Open(w.t.Context(), authz.Config{
		Roles: countedRoles{w.db.Roles, w}, RoleBindings: countedBindings{w.db.RoleBindings, w}, Projects: w.db.Projects,
		Changes: func() metadata.Mark { return metadata.Mark(w.mark.Load()) }, SelfProvision: selfProvision,
		Now: w.time, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	w.must(err)
	return a
}

func (w *world) time() time.Time { return time.Unix(0, w.now.Load()) }

func (w *world) pass(d time.Duration) { w.now.Add(int64(d)) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var errDown = errors.New("the database is down")

func (w *world) read() error {
	w.asked.Add(1)
	if w.down.Load() {
		return errDown
	}
	return nil
}

type countedRoles struct {
	*metadata.Roles
	w *world
}

func (c countedRoles) All(ctx context.Context) ([]metadata.Role, error) {
	if err := c.w.read(); err != nil {
		return nil, err
	}
	return c.Roles.All(ctx)
}

func (c countedRoles) Of(ctx context.Context, project string) ([]metadata.Role, error) {
	if err := c.w.read(); err != nil {
		return nil, err
	}
	return c.Roles.Of(ctx, project)
}

type countedBindings struct {
	*metadata.RoleBindings
	w *world
}

func (c countedBindings) All(ctx context.Context) ([]metadata.RoleBinding, error) {
	if err := c.w.read(); err != nil {
		return nil, err
	}
	return c.RoleBindings.All(ctx)
}

func (c countedBindings) Of(ctx context.Context, project string) ([]metadata.RoleBinding, error) {
	if err := c.w.read(); err != nil {
		return nil, err
	}
	return c.RoleBindings.Of(ctx, project)
}

// the identities of the tests.
func admin() authn.Identity {
	return authn.Identity{User: "admin", Groups: []string{authn.GroupAuthenticated, authn.GroupMasters}}
}

func person(name string, groups ...string) authn.Identity {
	return authn.Identity{User: name, Groups: append([]string{authn.GroupAuthenticated}, groups...)}
}

func robot(project, name string) authn.Identity {
	return authn.Identity{
		User:   "system:serviceaccount:" + project + ":" + name,
		Groups: []string{authn.GroupAuthenticated, "system:serviceaccounts", "system:serviceaccounts:" + project},
	}
}

// give lets admin give a role of all projects, or of the project, to subjects.
func (w *world) give(project, role string, subjects ...authz.Subject) authz.Granted {
	w.t.Helper()
	granted, err := w.Grant(w.t.Context(), admin(), authz.Grant{Project: project, Role: role, Subjects: subjects})
	w.must(err)
	return granted
}

func (w *world) take(project, role string, subjects ...authz.Subject) {
	w.t.Helper()
	_, err := w.Revoke(w.t.Context(), authz.Grant{Project: project, Role: role, Subjects: subjects})
	w.must(err)
}

func (w *world) allowed(id authn.Identity, action authz.Action, target authz.Target) bool {
	w.t.Helper()
	may, err := w.Allowed(w.t.Context(), id, action, target)
	w.must(err)
	return may
}

func repository(name string) authz.Target {
	project, _, _ := strings.Cut(name, "/")
	return authz.Target{Project: project, Repository: name, Kind: metadata.Hosted}
}

func project(name string) authz.Target { return authz.Target{Project: name, Kind: metadata.Hosted} }

// rule is one of the usual rules of a role.
func rule(verbs, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		Verbs: strings.Split(verbs, ","), Resources: strings.Split(resources, ","), ResourceNames: names,
		APIGroups: []string{"image.openshift.io"},
	}
}

// inMemory is an authorizer that has read rows which are in no database; what is changed
// by it is.
func (w *world) inMemory(roles []metadata.Role, bindings []metadata.RoleBinding) *authz.Authorizer {
	w.t.Helper()
	a, err := authz.Open(w.t.Context(), authz.Config{
		Roles: givenRoles{w.db.Roles, roles}, RoleBindings: givenBindings{w.db.RoleBindings, bindings}, Projects: w.db.Projects,
	})
	w.must(err)
	return a
}

type givenRoles struct {
	*metadata.Roles
	all []metadata.Role
}

func (g givenRoles) All(context.Context) ([]metadata.Role, error) { return g.all, nil }

type givenBindings struct {
	*metadata.RoleBindings
	all []metadata.RoleBinding
}

func (g givenBindings) All(context.Context) ([]metadata.RoleBinding, error) { return g.all, nil }

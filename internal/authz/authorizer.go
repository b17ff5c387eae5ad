// Package authz answers whether a caller may do something, in the words of
// Kubernetes RBAC. Who the caller is has been found out before, by authn.
package authz

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// Roles keeps the roles that people made.
type Roles interface {
	All(ctx context.Context) ([]metadata.Role, error)
	Of(ctx context.Context, project string) ([]metadata.Role, error)
	Create(ctx context.Context, r metadata.Role) error
	SetRules(ctx context.Context, project, name, rules string) error
	Delete(ctx context.Context, project, name string) error
}

// RoleBindings keeps who has which role.
type RoleBindings interface {
	All(ctx context.Context) ([]metadata.RoleBinding, error)
	Of(ctx context.Context, project string) ([]metadata.RoleBinding, error)
	Create(ctx context.Context, b metadata.RoleBinding) error
	SetSubjects(ctx context.Context, project, name, before, after string) error
	Delete(ctx context.Context, project, name string) error
	// DeleteUnused deletes a binding that has no subjects.
	DeleteUnused(ctx context.Context, project, name string) error
}

// Projects makes projects together with their owners.
type Projects interface {
	CreateOwned(ctx context.Context, p metadata.Project, owners ...metadata.RoleBinding) error
}

// Config is what an Authorizer stands on.
type Config struct {
	Roles        Roles
	RoleBindings RoleBindings
	Projects     Projects
	// Changes tells when another process has changed a role or a binding; nil means that
	// there is none.
	Changes func() metadata.Mark
	// SelfProvision lets everybody who is logged in make projects of their own.
	SelfProvision bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log hears of what cannot be read; nil means slog.Default.
	Log *slog.Logger
}

// Authorizer decides from what it has in memory. It is safe for concurrent use, and one
// process has one of them: changes made through it count from the next request on.
type Authorizer struct {
	config Config

	snapshot      atomic.Pointer[snapshot]
	selfProvision atomic.Bool

	loading sync.Mutex   // held by who replaces the snapshot
	read    atomic.Int64 // when all was last read, or tried to be, in nanoseconds
	behind  atomic.Bool  // a change of this process has not been read yet
}

// Open reads all roles and bindings.
func Open(ctx context.Context, c Config) (*Authorizer, error) {
	if c.Changes == nil {
		c.Changes = func() metadata.Mark { return 0 }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	a := &Authorizer{config: c}
	a.selfProvision.Store(c.SelfProvision)
	a.loading.Lock()
	defer a.loading.Unlock()
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Allowed tells whether id may do action to target. It reads no database, unless another
// process has changed something. The error is always nil.
func (a *Authorizer) Allowed(ctx context.Context, id authn.Identity, action Action, target Target) (bool, error) {
	if !withinCap(id, action, target) {
		return false, nil
	}
	return a.current(ctx).allows(id, action, target), nil
}

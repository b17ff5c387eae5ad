package authz

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// rereadAfter is how soon after the last time all is read again, when others may have
	// changed something. With readLimit it stays below the second within which every
	// process sees what another has changed.
	rereadAfter = 300 * time.Millisecond
	readLimit   = 5 * time.Second
	// inForceLimit bounds how long a change waits to be in force.
	inForceLimit = 10 * time.Second
)

// current is the snapshot to decide by. What other processes change is read by one of the
// requests that come after it; those beside it go on with what is known. When it cannot be
// read, what was known last stays in force.
func (a *Authorizer) current(ctx context.Context) *snapshot {
	known := a.snapshot.Load()
	if a.config.Changes() == known.mark && !a.behind.Load() {
		return known
	}
	if a.config.Now().UnixNano()-a.read.Load() < int64(rereadAfter) || !a.loading.TryLock() {
		return known
	}
	defer a.loading.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
	defer cancel()
	if err := a.load(ctx); err != nil {
		a.config.Log.Warn("who may do what could not be read again; what was known last stays in force", "error", err)
	}
	return a.snapshot.Load()
}

// load reads everything. The caller holds the lock.
func (a *Authorizer) load(ctx context.Context) error {
	a.read.Store(a.config.Now().UnixNano())
	// Before the rest, so that what is changed meanwhile is read again.
	mark := a.config.Changes()
	roleRows, err := a.config.Roles.All(ctx)
	if err != nil {
		return fmt.Errorf("reading who may do what: %w", err)
	}
	bindingRows, err := a.config.RoleBindings.All(ctx)
	if err != nil {
		return fmt.Errorf("reading who may do what: %w", err)
	}
	roles, badRoles := readRoles(roleRows)
	bindings, badBindings := readBindings(bindingRows)
	a.complain(errors.Join(badRoles, badBindings))
	next := newSnapshot(a.selfProvision.Load(), roles, bindings)
	next.mark = mark
	a.snapshot.Store(next)
	a.behind.Store(false)
	return nil
}

// loadProject reads the roles and bindings of one project. The caller holds the lock.
func (a *Authorizer) loadProject(ctx context.Context, project string) error {
	roleRows, err := a.config.Roles.Of(ctx, project)
	if err != nil {
		return fmt.Errorf("reading who may do what in project %s: %w", project, err)
	}
	bindingRows, err := a.config.RoleBindings.Of(ctx, project)
	if err != nil {
		return fmt.Errorf("reading who may do what in project %s: %w", project, err)
	}
	roles, badRoles := readRoles(roleRows)
	bindings, badBindings := readBindings(bindingRows)
	a.complain(errors.Join(badRoles, badBindings))
	a.snapshot.Store(a.snapshot.Load().with(project, roles, bindings))
	return nil
}

func (a *Authorizer) complain(err error) {
	if err != nil {
		a.config.Log.Error("what cannot be read gives nobody a right", "error", err)
	}
}

// Reload puts in force what has been changed in a project by this process, or for all
// projects when it is "". An error means that it is not in force here yet.
func (a *Authorizer) Reload(ctx context.Context, project string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), inForceLimit)
	defer cancel()
	a.loading.Lock()
	defer a.loading.Unlock()
	load := a.load
	if project != "" {
		load = func(ctx context.Context) error { return a.loadProject(ctx, project) }
	}
	if err := load(ctx); err != nil {
		a.behind.Store(true)
		return fmt.Errorf("%w: %w", ErrNotInForce, err)
	}
	return nil
}

// SetSelfProvision changes whether everybody who is logged in may make projects.
func (a *Authorizer) SetSelfProvision(ctx context.Context, allowed bool) error {
	if a.selfProvision.Swap(allowed) == allowed {
		return nil
	}
	return a.Reload(ctx, "")
}

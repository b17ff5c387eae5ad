package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// images is what the API changes of hosted projects and of caches, which know tags by
// heart.
type images struct {
	*registry.Registry
	server *Server
}

// DeleteTag implements api.Images; in a cache project it evicts.
func (i images) DeleteTag(ctx context.Context, repo oci.Repository, tag string) error {
	g := i.server.generation()
	defer g.requests.Done()
	if c := g.cacheOf(repo); c != nil {
		return c.DeleteTag(ctx, repo, tag)
	}
	return i.Registry.DeleteTag(ctx, repo, tag)
}

// DeleteRepository implements api.Images. What its roles gave is given to nobody any more
// before it returns.
func (i images) DeleteRepository(ctx context.Context, repo oci.Repository, roles []string) error {
	if i.configured(repo.Project()) {
		return &oci.Error{
			Code:    oci.CodeUnsupported,
			Message: fmt.Sprintf("repository %s was not deleted: it belongs to a cache, which gives images up by itself when it needs the room; delete single tags, or set rules with larder set retention -n %s", repo, repo.Project()),
		}
	}
	err := i.Registry.DeleteRepository(ctx, repo, roles)
	if _, refused := errors.AsType[*oci.Error](err); refused {
		return err
	}
	// Also after a failure: what was committed without an answer has happened.
	return errors.Join(err, i.server.floor.roles.Reload(ctx, repo.Project()))
}

// DeleteProject implements api.Images. What was known of the project and of its accounts
// is forgotten before it returns.
func (i images) DeleteProject(ctx context.Context, name string) error {
	if i.configured(name) {
		return &oci.Error{
			Code:    oci.CodeUnsupported,
			Message: fmt.Sprintf("project %s was not deleted: it mirrors an upstream that is configured; remove the upstream from the server's configuration first", name),
		}
	}
	err := i.Registry.DeleteProject(ctx, name)
	i.server.floor.who.Forget()
	return errors.Join(err, i.server.floor.roles.Reload(ctx, name), i.server.lender.giveCurrent(ctx))
}

// Shows tells whether a cached repository is not one that only other projects' own
// credentials can read.
func (i images) Shows(ctx context.Context, id authn.Identity, repo oci.Repository) (bool, error) {
	g := i.server.generation()
	defer g.requests.Done()
	c := g.cacheOf(repo)
	if c == nil {
		return true, nil
	}
	caller := id.Caller()
	caller.Projects = authz.MemberOf(ctx, i.server.floor.may.Allowed, id, c.Lenders())
	return c.Shows(ctx, caller, repo)
}

// configured tells whether a project is that of an upstream.
func (i images) configured(project string) bool {
	g := i.server.generation()
	defer g.requests.Done()
	return g.cacheOf(oci.Repository(project)) != nil
}

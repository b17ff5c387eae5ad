package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// projectsPage is how many projects are looked at for a list of hosted ones.
const projectsPage = 200

// EnsureProject makes a hosted project unless it is there. The error is an *oci.Error
// with NAME_INVALID for a reserved name, with UNSUPPORTED for a cache project's.
func (r *Registry) EnsureProject(ctx context.Context, name, creator string) error {
	if err := oci.CheckProject(name); err != nil {
		return err
	}
	err := r.db.Projects.Ensure(ctx, metadata.Project{
		Name: name, Kind: metadata.Hosted, Creator: creator, CreatedAt: r.now(),
	})
	if errors.Is(err, metadata.ErrExists) {
		return &oci.Error{
			Code:    oci.CodeUnsupported,
			Message: fmt.Sprintf("project %s mirrors an upstream registry: push to a hosted project instead", name),
			Err:     err,
		}
	}
	if err != nil {
		return fmt.Errorf("making project %s: %w", name, err)
	}
	return nil
}

// RepositoryExists tells whether there is a repository of that name.
func (r *Registry) RepositoryExists(ctx context.Context, repo oci.Repository) (bool, error) {
	exists, err := r.db.Repositories.Exists(ctx, repo.String())
	if err != nil {
		return false, fmt.Errorf("looking for repository %s: %w", repo, err)
	}
	return exists, nil
}

// HostedProjects names some projects that people push to, at most 200, in bytewise
// order.
func (r *Registry) HostedProjects(ctx context.Context) ([]string, error) {
	projects, err := r.db.Projects.List(ctx, "", projectsPage)
	if err != nil {
		return nil, fmt.Errorf("listing projects: %w", err)
	}
	var names []string
	for _, p := range projects {
		if p.Kind == metadata.Hosted {
			names = append(names, p.Name)
		}
	}
	return names, nil
}

// ShownToStrangers tells whether a repository of a cache project is known to be shown
// to strangers by its upstream.
func (r *Registry) ShownToStrangers(ctx context.Context, repo oci.Repository) (bool, error) {
	seen, err := r.db.Repositories.Visibility(ctx, repo.String())
	if err != nil {
		return false, fmt.Errorf("reading who may see %s: %w", repo, err)
	}
	return seen.Known && seen.Public, nil
}

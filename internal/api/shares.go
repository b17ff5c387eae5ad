package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// SharePermissions are what a repository is shared for, in Docker Hub's words.
func SharePermissions() []string { return []string{"read", "write", "admin"} }

// ShareRole is the role of a project that shares one of its repositories.
func ShareRole(repository, permission string) string {
	return "repo:" + strings.ReplaceAll(repository, "/", ":") + ":" + permission
}

// unshare ends what was shared of a repository that is deleted: the next one of its name is
// not open to the same people. A cluster's bindings are not ours to end.
func (s *service) unshare(ctx context.Context, repo oci.Repository) error {
	if s.Roles == nil {
		return nil
	}
	// Another server may have given it a moment ago.
	all := s.Roles.Reload(ctx, repo.Project())
	shares := map[string]bool{}
	for _, permission := range SharePermissions() {
		shares[ShareRole(repo.Rest(), permission)] = true
	}
	for _, b := range s.Roles.Bindings(ctx, repo.Project()) {
		if b.Project != repo.Project() || b.RoleKind != authz.KindRole || !shares[b.RoleName] {
			continue
		}
		if err := s.Roles.DeleteBinding(ctx, b.Project, b.Name); err != nil && !errors.Is(err, metadata.ErrNotFound) {
			all = errors.Join(all, err)
		}
	}
	if all != nil {
		return fmt.Errorf("repository %s is deleted, but who could reach it can reach the next one of its name: %w", repo, all)
	}
	return nil
}

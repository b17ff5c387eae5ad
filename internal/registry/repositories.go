package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// DeleteRepository deletes a repository with its tags, manifests, uploads and imports, and
// with those roles of its project that are about it alone. The blobs that no other
// repository has are left to the collector. Errors: NAME_UNKNOWN when it is not there,
// DENIED when it has a tag that is immutable.
func (r *Registry) DeleteRepository(ctx context.Context, repo oci.Repository, roles []string) error {
	keeps, err := r.keeps(ctx, repo)
	if err != nil {
		return err
	}
	gone, err := r.db.Repositories.Delete(ctx, metadata.Deletion{Repository: repo.String(), Keeps: keeps, Roles: roles})
	r.hot.forget(repo)
	if errors.Is(err, metadata.ErrNotFound) {
		return repositoryUnknown(repo)
	}
	if err != nil {
		return refusedOr(err, "deleting repository "+repo.String())
	}
	r.dropUploads(ctx, gone.Uploads)
	return nil
}

// DeleteProject deletes a project with its repositories, whatever their tags, its service
// accounts, roles and role bindings. The error has metadata.ErrNotFound in its chain when
// it is not there.
func (r *Registry) DeleteProject(ctx context.Context, name string) error {
	gone, err := r.db.Projects.Delete(ctx, name)
	r.deletions.Add(1)
	for _, repository := range gone.Repositories {
		r.hot.forget(oci.Repository(repository))
	}
	if err != nil {
		return fmt.Errorf("deleting project %s: %w", name, err)
	}
	r.dropUploads(ctx, gone.Uploads)
	return nil
}

// ProjectsMark stands for a moment: a project that was there is there while the mark is
// the same.
type ProjectsMark struct {
	own    uint64 // counts the deletions of this process
	others metadata.Mark
}

// ProjectsMark is the mark of now.
func (r *Registry) ProjectsMark() ProjectsMark {
	return ProjectsMark{own: r.deletions.Load(), others: r.db.Changes.Access()}
}

// dropUploads drops the bytes of uploads whose rows are gone. Those that are being
// written, and those that storage does not give up now, are strays, which are swept.
func (r *Registry) dropUploads(ctx context.Context, rows []metadata.Upload) {
	ctx = context.WithoutCancel(ctx)
	for _, row := range rows {
		turn, err := r.sessions.try(ctx, row.ID)
		if err == nil && turn == nil {
			continue
		}
		var state uploadState
		if err == nil {
			if err = json.Unmarshal(row.State, &state); err == nil {
				err = r.dropBytes(ctx, state)
			}
			turn.release()
		}
		if err != nil {
			r.log.Warn("the bytes of an upload were not dropped with its repository; they are swept later", "upload", row.ID, "error", err)
		}
	}
}

// refusedOr gives a refusal as it is, and says of any other error what was being done.
func refusedOr(err error, doing string) error {
	if refusal, ok := errors.AsType[*oci.Error](err); ok {
		return refusal
	}
	return fmt.Errorf("%s: %w", doing, err)
}

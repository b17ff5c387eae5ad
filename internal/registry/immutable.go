package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// keeps tells which tags of a repository are immutable; nil where none is.
func (r *Registry) keeps(ctx context.Context, repo oci.Repository) (metadata.Keeps, error) {
	project, err := r.db.Projects.Get(ctx, repo.Project())
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return nil, fmt.Errorf("reading which tags of project %s are immutable: %w", repo.Project(), err)
	}
	if len(project.ImmutableTags) == 0 {
		return nil, nil
	}
	patterns := oci.TagPatterns(project.ImmutableTags)
	return func(tag string) error {
		pattern, immutable := patterns.Matching(tag)
		if !immutable {
			return nil
		}
		return &oci.Error{
			Code: oci.CodeDenied,
			Message: fmt.Sprintf("tag %s of %s is immutable: project %s keeps the tags that match %s as they were first pushed; push under another tag, or have an administrator change that with larder set immutable-tags -n %s",
				tag, repo, repo.Project(), pattern, repo.Project()),
			Detail: map[string]string{"tag": tag, "pattern": pattern},
		}
	}, nil
}

// keepsTag refuses to remove a tag that is there and immutable.
func (r *Registry) keepsTag(ctx context.Context, repo oci.Repository, tag string) error {
	keeps, err := r.keeps(ctx, repo)
	if err != nil || keeps == nil {
		return err
	}
	refusal := keeps(tag)
	if refusal == nil {
		return nil
	}
	_, err = r.db.Tags.Get(ctx, repo.String(), tag)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("looking for tag %s of %s: %w", tag, repo, err)
	}
	return refusal
}

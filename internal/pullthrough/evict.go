package pullthrough

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// DeleteTag evicts a tag: the next pull asks the upstream anew.
func (c *Cache) DeleteTag(ctx context.Context, repo oci.Repository, tag string) error {
	err := c.Held.DeleteTag(ctx, repo, tag)
	c.tags.evict(tagKey{repo, tag})
	return err
}

// DeleteManifest evicts a manifest and the tags that point to it.
func (c *Cache) DeleteManifest(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	err := c.Held.DeleteManifest(ctx, repo, d)
	c.tags.evictManifest(repo, d)
	return err
}

// DeleteBlob evicts a blob from one repository.
func (c *Cache) DeleteBlob(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	return c.Held.DeleteBlob(ctx, repo, d)
}

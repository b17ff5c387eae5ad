package pullthrough

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
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
	c.tags.evictManifests(repo, []digest.Digest{d})
	return err
}

// RetireTag is DeleteTag for a tag that is still as it was read; see registry.RetireTag.
func (c *Cache) RetireTag(ctx context.Context, repo oci.Repository, t metadata.Tag) (retired bool, err error) {
	retired, err = c.Held.RetireTag(ctx, repo, t)
	c.tags.evict(tagKey{repo, t.Name})
	return retired, err
}

// RetireManifest is DeleteManifest for a manifest that is still as it was read; see
// registry.RetireManifest.
func (c *Cache) RetireManifest(ctx context.Context, repo oci.Repository, m metadata.ManifestLink) (retired bool, err error) {
	retired, err = c.Held.RetireManifest(ctx, repo, m)
	c.tags.evictManifests(repo, []digest.Digest{m.Digest})
	return retired, err
}

// Evicted is told that manifests have been taken out of a repository, by whoever did: what
// is known of their tags is forgotten.
func (c *Cache) Evicted(repo oci.Repository, manifests []digest.Digest) {
	c.tags.evictManifests(repo, manifests)
}

// DeleteBlob evicts a blob from one repository.
func (c *Cache) DeleteBlob(ctx context.Context, repo oci.Repository, d digest.Digest) error {
	return c.Held.DeleteBlob(ctx, repo, d)
}

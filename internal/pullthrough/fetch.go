package pullthrough

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// fetch gets a manifest from the upstream and keeps it, linked to the repository
// that it was asked for in. What is held already, through whichever repository, is
// confirmed by HEAD only.
func (c *Cache) fetch(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, error) {
	asked := c.question(caller, repo, ref.String())
	if err := c.rememberedNotFound(asked); err != nil {
		return oci.Manifest{}, err
	}
	var manifest oci.Manifest
	var err error
	if ref.ByTag() {
		manifest, err = c.fetchByTag(ctx, caller, repo, ref.Tag)
	} else {
		manifest, err = c.fetchByDigest(ctx, caller, repo, ref.Digest)
	}
	if err != nil {
		return oci.Manifest{}, c.refused(asked, err)
	}
	return manifest, nil
}

func (c *Cache) fetchByTag(ctx context.Context, caller oci.Caller, repo oci.Repository, tag string) (oci.Manifest, error) {
	manifest, err := c.Upstream.Manifest(ctx, c.asker(caller, repo), repo.Rest(), tag)
	if err != nil {
		return oci.Manifest{}, err
	}
	c.noteAnonymousSuccess(ctx, repo)
	return manifest, c.keep(ctx, repo, manifest)
}

// transfer is a manifest, and the repository that it was asked for through; "" when it
// was held already.
type transfer struct {
	manifest oci.Manifest
	through  oci.Repository
}

// fetchByDigest makes one transfer serve every repository that asks for the digest.
// A repository other than the one it came through must show it by HEAD first.
func (c *Cache) fetchByDigest(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Manifest, error) {
	manifest, _, err := c.Held.Manifest(ctx, oci.Caller{}, repo, oci.Reference{Digest: d})
	if err == nil {
		return manifest, nil
	}
	got, joined, err := sharedFor(ctx, c, caller, "manifest "+d.String(), c.Limits.Fetch, func(ctx context.Context) (transfer, error) {
		return c.transferManifest(ctx, caller, repo, d)
	})
	denied := upstream.KindOf(err) == upstream.Denied && len(c.asker(caller, repo).Projects) > 0
	if err != nil && joined && (got.through != repo || denied) { // it may have failed for a reason of the other's
		got, err = c.transferManifest(ctx, caller, repo, d)
	}
	if err != nil || got.through == repo {
		return got.manifest, err
	}
	head, err := c.statUpstream(ctx, caller, repo, d.String())
	if err != nil {
		return oci.Manifest{}, err
	}
	shown := got.manifest
	if head.MediaType != "" {
		shown.MediaType = head.MediaType // the repository's own word for the same bytes
	}
	return shown, c.keep(ctx, repo, shown)
}

// transferManifest finds a manifest that is held, or gets it from the upstream, on one
// replica for all.
func (c *Cache) transferManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (transfer, error) {
	return once(ctx, c, "manifest/"+d.String(), func(ctx context.Context) (transfer, bool, error) {
		return c.findManifest(ctx, repo, d)
	}, func(ctx context.Context) (transfer, error) {
		return c.getManifest(ctx, caller, repo, d)
	})
}

// findManifest finds a manifest in the repository or, for want of that, in any other.
func (c *Cache) findManifest(ctx context.Context, repo oci.Repository, d digest.Digest) (got transfer, found bool, err error) {
	manifest, err := c.DB.Manifests.Get(ctx, string(repo), d)
	if err == nil {
		return transfer{manifest: manifest, through: repo}, true, nil
	}
	if errors.Is(err, metadata.ErrNotFound) {
		manifest, err = c.DB.Manifests.Held(ctx, d)
	}
	if errors.Is(err, metadata.ErrNotFound) {
		return transfer{}, false, nil
	}
	return transfer{manifest: manifest}, err == nil, err
}

func (c *Cache) getManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (transfer, error) {
	manifest, err := c.Upstream.Manifest(ctx, c.asker(caller, repo), repo.Rest(), d.String())
	if err != nil {
		return transfer{through: repo}, err
	}
	c.noteAnonymousSuccess(ctx, repo)
	return transfer{manifest: manifest, through: repo}, c.keep(ctx, repo, manifest)
}

// keep stores a verified manifest byte for byte. A manifest that Larder cannot read
// is kept all the same: it refers to nothing that Larder knows. Where there is no room
// for it, it is served and not kept.
func (c *Cache) keep(ctx context.Context, repo oci.Repository, manifest oci.Manifest) error {
	put := metadata.PutManifest{Repository: string(repo), Manifest: metadata.Manifest{Manifest: manifest}, Actor: c.Project}
	if content, err := oci.ParseManifest(manifest.MediaType, manifest.Content); err == nil {
		put.Manifest.ArtifactType = content.ArtifactType
		if content.Subject != nil {
			put.Manifest.Subject = content.Subject.Digest
		}
	}
	err := c.Fills.retried(ctx, rowRoom, func() error { return c.DB.Manifests.Put(ctx, put) })
	if full(err) {
		c.unkept("a manifest", string(repo)+"@"+manifest.Digest.String(), err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("keeping manifest %s of %s: %w", manifest.Digest, repo, err)
	}
	return c.settle(ctx, repo, manifest.Digest)
}

// unkept logs that something was served and not kept, since there was no room for it.
func (c *Cache) unkept(what, name string, err error) {
	c.Log.Warn("the disk is full and nothing can be evicted: "+what+" was served and not kept", "name", name, "error", err)
}

// fetchPlatforms fetches from a new index the platforms whose manifests were pulled
// from the old one, and of each as many.
func (c *Cache) fetchPlatforms(ctx context.Context, caller oci.Caller, repo oci.Repository, old digest.Digest, next oci.Manifest) error {
	previous, _, err := c.Held.Manifest(ctx, oci.Caller{}, repo, oci.Reference{Digest: old})
	if err != nil {
		return fmt.Errorf("reading the old index: %w", err)
	}
	was, err := oci.ParseManifest(previous.MediaType, previous.Content)
	if err != nil || !was.Index() {
		return nil
	}
	is, err := oci.ParseManifest(next.MediaType, next.Content)
	if err != nil {
		return nil
	}
	pulled := map[string]int{}
	for _, platform := range was.Manifests {
		if _, _, err := c.Held.StatManifest(ctx, oci.Caller{}, repo, oci.Reference{Digest: platform.Digest}); err == nil {
			pulled[platform.Key()]++
		}
	}
	for _, platform := range is.Manifests {
		if pulled[platform.Key()] == 0 {
			continue
		}
		pulled[platform.Key()]--
		if _, err := c.fetchByDigest(ctx, caller, repo, platform.Digest); err != nil {
			return err
		}
	}
	return nil
}

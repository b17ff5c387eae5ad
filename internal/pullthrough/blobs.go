package pullthrough

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/upstream"
)

// maxJoins bounds how often an asker whose fill failed on another repository's
// account begins again.
const maxJoins = 3

// StatBlob answers a HEAD without transferring the blob.
func (c *Cache) StatBlob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error) {
	found, served, err := c.statBlob(ctx, caller, repo, d)
	if err == nil {
		err = asBlob(c.again(ctx, caller, repo, blobReference+d.String()))
	}
	if err != nil {
		return oci.Descriptor{}, served, err
	}
	return found, served, nil
}

func (c *Cache) statBlob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error) {
	found, _, err := c.Held.StatBlob(ctx, caller, repo, d)
	held := err == nil
	if err != nil && oci.CodeOf(err) != oci.CodeBlobUnknown {
		return oci.Descriptor{}, c.missed(err), err
	}
	if err := c.admit(ctx, caller, repo, blobReference+d.String(), held); err != nil {
		return oci.Descriptor{}, c.missed(err), asBlob(err)
	}
	if held {
		return found, oci.Served{Cache: &oci.CacheStatus{Hit: true}}, nil
	}
	if size, ok := c.Fills.sizeShownTo(source{c, repo}, d); ok {
		return oci.Descriptor{Digest: d, Size: size}, oci.Served{Cache: &oci.CacheStatus{Forward: "miss", Collapsed: true}}, nil
	}
	found, err = c.confirmBlob(ctx, caller, repo, d)
	if err != nil {
		return oci.Descriptor{}, c.missed(err), err
	}
	return found, oci.Served{Cache: &oci.CacheStatus{Forward: "miss", ForwardStatus: 200}}, nil
}

// Blob opens a blob that is held, or joins or begins the fill that brings it.
func (c *Cache) Blob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	blob, served, err := c.blob(ctx, caller, repo, d)
	if err != nil {
		return nil, served, err
	}
	if err := c.again(ctx, caller, repo, blobReference+d.String()); err != nil {
		_ = blob.Close()
		return nil, c.missed(err), asBlob(err)
	}
	return blob, served, nil
}

func (c *Cache) blob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	blob, held, err := c.openHeld(ctx, caller, repo, d)
	if err != nil {
		return nil, c.missed(err), err
	}
	if err := c.admit(ctx, caller, repo, blobReference+d.String(), held); err != nil {
		if held {
			_ = blob.Close()
		}
		return nil, c.missed(err), asBlob(err)
	}
	if held {
		return blob, oci.Served{Cache: &oci.CacheStatus{Hit: true}}, nil
	}
	for range maxJoins {
		blob, served, err := c.openUnlinked(ctx, caller, repo, d)
		if !errors.Is(err, errOtherRepository) {
			return blob, served, err
		}
	}
	return nil, oci.Served{Cache: &oci.CacheStatus{Forward: "miss"}}, &oci.Error{
		Code:    oci.CodeUnavailable,
		Message: fmt.Sprintf("blob %s is being fetched through other repositories that keep failing: try again", d),
	}
}

// openHeld opens a blob that the repository links. One whose bytes are found gone or
// damaged was set aside: it counts as not held, and is fetched anew within the same
// request.
func (c *Cache) openHeld(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, bool, error) {
	blob, _, err := c.Held.Blob(ctx, caller, repo, d)
	switch {
	case err == nil:
		return blob, true, nil
	case errors.Is(err, registry.ErrDamaged):
		return nil, false, nil
	case oci.CodeOf(err) == oci.CodeBlobUnknown:
		return nil, false, nil
	}
	return nil, false, err
}

// errOtherRepository says that a fill failed which was begun through another repository,
// or for somebody who may use fewer credentials; this one may have more luck.
var errOtherRepository = errors.New("the fill of another repository failed")

// openUnlinked serves a blob that the repository does not link: a blob or a fill of
// another source once this one has shown it by HEAD, else a fill of its own.
func (c *Cache) openUnlinked(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	asked := c.question(caller, repo, blobReference+d.String())
	if err := asBlob(c.rememberedNotFound(asked)); err != nil {
		return nil, c.missed(err), err
	}
	from := source{c, repo}
	fill, began, err := c.Fills.joinOrBegin(caller, d, from)
	if err != nil {
		return nil, c.missed(err), err
	}
	defer fill.release()
	if began {
		defer fill.arrived()
	}
	if !fill.shownTo(from) {
		if _, err := c.confirmBlob(ctx, caller, repo, d); err != nil {
			return nil, c.missed(err), err
		}
		fill.link(from)
	}
	if err := fill.begun(ctx); err != nil {
		if errors.Is(err, errHeld) {
			return c.openLinked(ctx, caller, repo, d)
		}
		if (fill.source != from || !began && asked.audience != "" && upstream.KindOf(err) == upstream.Denied) && ctx.Err() == nil {
			return nil, oci.Served{}, errOtherRepository
		}
		err = asBlob(c.refused(asked, err))
		return nil, c.missed(err), err
	}
	status := oci.CacheStatus{Forward: "miss", Stored: began && !fill.passes(), Collapsed: !began}
	return fill.reader(ctx, caller, from), oci.Served{Cache: &status}, nil
}

// openLinked opens a blob that is held. When that is through another repository
// only, this one has to show it first, and is then linked to it.
func (c *Cache) openLinked(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	blob, linked, err := c.openHeld(ctx, caller, repo, d)
	if err != nil {
		return nil, c.missed(err), err
	}
	if linked { // it came to be held, maybe by a credential's pull, after the caller was admitted
		if err := c.admit(ctx, caller, repo, blobReference+d.String(), true); err != nil {
			_ = blob.Close()
			return nil, c.missed(err), asBlob(err)
		}
		return blob, oci.Served{Cache: &oci.CacheStatus{Hit: true}}, nil
	}
	shown, err := c.confirmBlob(ctx, caller, repo, d)
	if err != nil {
		return nil, c.missed(err), err
	}
	blob, linked, err = c.openHeld(ctx, caller, repo, d)
	if err == nil && !linked {
		blob, err = c.openShown(ctx, shown)
	}
	return blob, oci.Served{Cache: &oci.CacheStatus{Forward: "miss", ForwardStatus: 200, Detail: "linked"}}, err
}

// openShown opens a blob that was shown just now and is not linked all the same: there
// was no room to write the link. Otherwise its bytes turned out to be damaged or to be
// others, and a fill brings them.
func (c *Cache) openShown(ctx context.Context, shown oci.Descriptor) (oci.Blob, error) {
	blob, err := c.Held.StoredBlob(ctx, shown.Digest)
	if err != nil {
		return nil, errOtherRepository
	}
	if shown.Size >= 0 && shown.Size != blob.Size() {
		_ = blob.Close()
		return nil, errOtherRepository
	}
	return blob, nil
}

// confirmBlob HEADs a blob in its repository upstream, once for all who ask, and
// links it there when it is held.
func (c *Cache) confirmBlob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Descriptor, error) {
	asked := c.question(caller, repo, blobReference+d.String())
	found, _, err := sharedBy(ctx, c, caller, asked, "confirm "+string(repo)+"@"+d.String(), c.Limits.Fetch, func(ctx context.Context) (oci.Descriptor, error) {
		if err := c.rememberedNotFound(asked); err != nil {
			return oci.Descriptor{}, err
		}
		found, err := c.Upstream.StatBlob(ctx, c.asker(caller, repo), repo.Rest(), d)
		if err != nil {
			return oci.Descriptor{}, c.refused(asked, err)
		}
		c.noteAnonymousSuccess(ctx, repo)
		return found, c.linkHeld(ctx, repo, found)
	})
	return found, asBlob(err)
}

// linkHeld makes a blob that is held readable in a repository that has shown it, which
// is to say: the same digest with the same size.
func (c *Cache) linkHeld(ctx context.Context, repo oci.Repository, shown oci.Descriptor) error {
	held, err := c.DB.Blobs.Held(ctx, shown.Digest)
	if errors.Is(err, metadata.ErrNotFound) || err == nil && shown.Size >= 0 && shown.Size != held.Size {
		return nil
	}
	if err == nil {
		err = c.Fills.retried(ctx, rowRoom, func() error { return c.DB.Blobs.Link(ctx, string(repo), shown.Digest) })
	}
	if full(err) {
		c.unkept("a blob's link", string(repo)+"@"+shown.Digest.String(), err)
		return nil
	}
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return fmt.Errorf("linking blob %s to %s: %w", shown.Digest, repo, err)
	}
	return nil
}

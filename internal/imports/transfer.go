package imports

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// maxDepth bounds how deep indexes may be nested, maxManifests how many manifests
	// one image may have.
	maxDepth     = 5
	maxManifests = 1000
	// blobsAtOnce bounds the blobs of one image that are under way.
	blobsAtOnce = 3
)

// putter stores blobs.
type putter interface {
	PutBlob(ctx context.Context, repo oci.Repository, d digest.Digest, body io.Reader) error
}

// transfer takes one image.
type transfer struct {
	*Importer
	source Source
	image  Image
	as     upstream.Asker
	to     oci.Repository
	actor  string
	taken  int // manifests
}

// head asks with the credentials that there are, and as a stranger where those are
// refused: a wrong password must not hide what everybody may see.
func (t *transfer) head(ctx context.Context) (oci.Descriptor, error) {
	d, err := t.source.StatManifest(ctx, t.as, t.image.Repository, t.image.Reference)
	failure, ok := errors.AsType[*upstream.Error](err)
	if !ok || failure.Kind != upstream.CredentialRefused && failure.Kind != upstream.Blocked {
		return d, err
	}
	t.as.Auth = upstream.Anonymous
	d, again := t.source.StatManifest(ctx, t.as, t.image.Repository, t.image.Reference)
	if again != nil {
		return d, err
	}
	return d, nil
}

// take fetches the image and sets the tag.
func (t *transfer) take(ctx context.Context, tag string) (digest.Digest, error) {
	m, err := t.fetch(ctx, t.image.Reference, 0)
	if err != nil {
		return "", err
	}
	return m.Digest, t.put(ctx, oci.Reference{Tag: tag}, m)
}

func (t *transfer) put(ctx context.Context, as oci.Reference, m oci.Manifest) error {
	_, err := t.Hosted.PutManifest(ctx, t.to, registry.ManifestPush{Reference: as, MediaType: m.MediaType, Content: m.Content, Actor: t.actor})
	return err
}

// fetch reads a manifest and stores what it refers to, but not itself.
func (t *transfer) fetch(ctx context.Context, ref string, depth int) (oci.Manifest, error) {
	if t.taken++; depth > maxDepth || t.taken > maxManifests {
		return oci.Manifest{}, fmt.Errorf("the image has more than %d manifests or nests them more than %d deep", maxManifests, maxDepth)
	}
	m, err := t.source.Manifest(ctx, t.as, t.image.Repository, ref)
	if err != nil {
		return oci.Manifest{}, err
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return oci.Manifest{}, err
	}
	for _, child := range content.Manifests {
		if err := t.child(ctx, child.Digest, depth); err != nil {
			return oci.Manifest{}, err
		}
	}
	blobs := content.Layers
	if content.Config != nil {
		blobs = append(blobs, *content.Config)
	}
	fetching, ctx := errgroup.WithContext(ctx)
	fetching.SetLimit(blobsAtOnce)
	seen := map[digest.Digest]bool{}
	for _, b := range blobs {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			fetching.Go(func() error { return t.blob(ctx, b) })
		}
	}
	return m, fetching.Wait()
}

// child stores a manifest of an index with what it refers to, unless it is there.
func (t *transfer) child(ctx context.Context, d digest.Digest, depth int) error {
	as := oci.Reference{Digest: d}
	_, _, err := t.Hosted.StatManifest(ctx, oci.Caller{}, t.to, as)
	if err == nil {
		return nil
	}
	if code := oci.CodeOf(err); code != oci.CodeManifestUnknown && code != oci.CodeNameUnknown {
		return err
	}
	m, err := t.fetch(ctx, d.String(), depth+1)
	if err != nil {
		return err
	}
	return t.put(ctx, as, m)
}

// blob stores a blob unless it is there. What the same repository of the upstream's cache
// project holds is taken from it, and from nowhere else: the source shows it, and other
// repositories may not be the importer's to read.
func (t *transfer) blob(ctx context.Context, b oci.Descriptor) error {
	_, _, err := t.Hosted.StatBlob(ctx, oci.Caller{}, t.to, b.Digest)
	if oci.CodeOf(err) != oci.CodeBlobUnknown {
		return err
	}
	if t.source.Project != "" {
		cached, err := oci.ParseRepository(t.source.Project + "/" + t.image.Repository)
		if err == nil {
			err = t.Hosted.MountBlob(ctx, t.to, cached, b.Digest)
		}
		if oci.CodeOf(err) != oci.CodeBlobUnknown && oci.CodeOf(err) != oci.CodeNameInvalid {
			return err
		}
	}
	body := &resuming{ctx: ctx, transfer: t, blob: b}
	defer body.close()
	return t.Hosted.PutBlob(ctx, t.to, b.Digest, body)
}

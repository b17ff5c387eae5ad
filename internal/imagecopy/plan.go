package imagecopy

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	// maxDepth bounds how deep indexes and referrers may be nested, maxManifests how
	// many manifests one copy may have.
	maxDepth     = 10
	maxManifests = 10_000
)

// plan is what one copy has to send.
type plan struct {
	*job
	top       oci.Manifest
	was       digest.Digest // of the source's index, where another is made of it
	manifests []oci.Manifest
	referrers []oci.Manifest
	blobs     []*blob
	bytes     int64
	seen      map[digest.Digest]bool
}

// plan reads the manifests that are missing at the destination: each comes after what
// it refers to, and referrers after their subject.
func (j *job) plan(ctx context.Context) (*plan, error) {
	p := &plan{job: j, seen: map[digest.Digest]bool{}}
	top, err := j.from.top(ctx)
	if err != nil {
		return nil, err
	}
	if len(j.Options.Platforms) > 0 {
		chosen, err := choosePlatforms(ctx, j.from, top, j.Options.Platforms)
		if err != nil {
			return nil, err
		}
		if chosen.Digest != top.Digest {
			p.was = top.Digest
		}
		top = chosen
	}
	p.top = top
	p.seen[top.Digest] = true
	if err := p.parts(ctx, top, 0); err != nil {
		return nil, err
	}
	// Referrers name the index that was, not one that is made of it.
	if p.was == "" {
		err = p.addReferrers(ctx, top.Digest, 0)
	}
	return p, err
}

// add plans one manifest with its parts and its referrers.
func (p *plan) add(ctx context.Context, d digest.Digest, depth int, list *[]oci.Manifest) error {
	if p.seen[d] {
		return nil
	}
	p.seen[d] = true
	if depth > maxDepth || len(p.seen) > maxManifests {
		return fmt.Errorf("the image has more than %d manifests or nests them more than %d deep", maxManifests, maxDepth)
	}
	held, err := p.to.holds(ctx, d)
	if err != nil {
		return err
	}
	if !held {
		m, err := p.from.manifest(ctx, d)
		if err != nil {
			return err
		}
		if err := p.parts(ctx, m, depth); err != nil {
			return err
		}
		*list = append(*list, m)
	}
	return p.addReferrers(ctx, d, depth)
}

// parts plans what a manifest refers to.
func (p *plan) parts(ctx context.Context, m oci.Manifest, depth int) error {
	if oci.IsSchema1(m.MediaType) {
		return &Schema1Error{}
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return fmt.Errorf("reading manifest %s: %w", m.Digest, err)
	}
	if content.Config != nil {
		p.addBlob(*content.Config)
	}
	for _, l := range content.Layers {
		p.addBlob(l)
	}
	for _, child := range content.Manifests {
		mediaType := types.MediaType(child.MediaType)
		if !mediaType.IsImage() && !mediaType.IsIndex() && !mediaType.IsSchema1() {
			p.addBlob(child.Descriptor) // build caches list layers like this
			continue
		}
		if err := p.add(ctx, child.Digest, depth+1, &p.manifests); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) addBlob(d oci.Descriptor) {
	if p.seen[d.Digest] {
		return
	}
	p.seen[d.Digest] = true
	p.blobs = append(p.blobs, &blob{Descriptor: d, from: p.from, meter: p.meter})
	p.bytes += d.Size
}

func (p *plan) addReferrers(ctx context.Context, subject digest.Digest, depth int) error {
	if !p.Options.Referrers {
		return nil
	}
	all, err := p.from.referrers(ctx, subject)
	if err != nil {
		return fmt.Errorf("listing what refers to %s: %w", subject, err)
	}
	for _, d := range all {
		if err := p.add(ctx, d, depth+1, &p.referrers); err != nil {
			return err
		}
	}
	return nil
}

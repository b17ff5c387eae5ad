package imagecopy

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/larder-registry/larder/internal/oci"
)

// Options say what is copied of an image.
type Options struct {
	// Platforms are those of an index that are kept; empty: all, and the index's digest.
	Platforms []v1.Platform
	// Referrers copies what refers to the image, such as signatures and SBOMs, too.
	Referrers bool
	// DryRun looks, and changes nothing.
	DryRun bool
}

// Meter is told how a copy goes on. It is safe for concurrent use.
type Meter interface {
	// Begin is called when it is known what there is to copy, also more than once.
	Begin(blobs int, bytes int64)
	// Add counts bytes; it takes back those of an attempt that failed.
	Add(bytes int64)
}

// Result is what came of a copy.
type Result struct {
	Digest digest.Digest // of what the destination names now
	// Was is the digest at the source, if choosing platforms has changed it.
	Was digest.Digest
	// Before is what the destination named; empty: nothing.
	Before digest.Digest
	// Manifests and Blobs count what was sent, with Bytes of blobs; Held counts the
	// blobs that were there already.
	Manifests, Blobs, Held int
	Bytes                  int64
}

// Changed tells whether the destination named something else before.
func (r Result) Changed() bool { return r.Digest != r.Before }

// Copier copies images. It is safe for concurrent use.
type Copier struct {
	Registries *Registries
	Options    Options
	// Jobs bounds how many blobs of one image are under way at once.
	Jobs int
}

// Copy copies one image. Its name at the destination is set once everything else is
// there, and the manifest is read back and compared. The error is a *Schema1Error for an
// image that has to be converted.
func (c *Copier) Copy(ctx context.Context, from, to Place, meter Meter) (Result, error) {
	j := job{Copier: c, from: c.Registries.source(from), to: c.Registries.destination(to), meter: meter}
	fail := func(err error) (Result, error) {
		if s, ok := errors.AsType[*Schema1Error](err); ok {
			s.From, s.To = from, to
			return Result{}, s
		}
		return Result{}, fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	if err := j.look(ctx); err != nil {
		return fail(err)
	}
	if j.nothingToDo() {
		return j.result, nil
	}
	p, err := j.plan(ctx)
	if err != nil {
		return fail(err)
	}
	j.result.Digest, j.result.Was = p.top.Digest, p.was
	if c.Options.DryRun {
		return j.result, nil
	}
	if err := j.transfer(ctx, p); err != nil {
		return fail(err)
	}
	if err := c.copySignatures(ctx, from, to, &j); err != nil {
		return fail(err)
	}
	return j.result, nil
}

// copySignatures copies what cosign keeps under tags of its own, between registries.
func (c *Copier) copySignatures(ctx context.Context, from, to Place, j *job) error {
	if !c.Options.Referrers || from.image == nil || to.image == nil || j.result.Was != "" {
		return nil
	}
	whole := *c
	whole.Options = Options{}
	for _, tag := range cosignTags(j.result.Digest) {
		at := func(p Place) Place { return Place{image: p.image.Context().Tag(tag)} }
		result, err := whole.Copy(ctx, at(from), at(to), j.meter)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return err
		}
		j.result.add(result)
	}
	return nil
}

func (r *Result) add(more Result) {
	r.Manifests += more.Manifests
	r.Blobs += more.Blobs
	r.Held += more.Held
	r.Bytes += more.Bytes
}

// job is one copy.
type job struct {
	*Copier
	from   source
	to     destination
	meter  Meter
	result Result
}

// look compares what the two places name.
func (j *job) look(ctx context.Context) error {
	there, err := j.from.head(ctx)
	if err != nil {
		return err
	}
	if oci.IsSchema1(there.MediaType) {
		return &Schema1Error{}
	}
	j.result.Digest = there.Digest
	here, err := j.to.head(ctx)
	if err != nil && !isAbsent(err) {
		return err
	}
	j.result.Before = here.Digest
	return nil
}

// nothingToDo is true where a look at the names is enough.
func (j *job) nothingToDo() bool {
	if len(j.Options.Platforms) > 0 {
		return false
	}
	return j.Options.DryRun || !j.result.Changed() && !j.Options.Referrers
}

func (j *job) transfer(ctx context.Context, p *plan) error {
	j.meter.Begin(len(p.blobs), p.bytes)
	if err := j.sendBlobs(ctx, p.blobs); err != nil {
		return err
	}
	for _, m := range p.manifests {
		if err := j.to.putManifest(ctx, m); err != nil {
			return err
		}
	}
	j.result.Manifests = len(p.manifests)
	if j.result.Changed() {
		if err := j.to.name(ctx, p.top); err != nil {
			return err
		}
		j.result.Manifests++
		if err := j.verify(ctx); err != nil {
			return err
		}
	}
	for _, m := range p.referrers {
		if err := j.to.putManifest(ctx, m); err != nil {
			return err
		}
	}
	j.result.Manifests += len(p.referrers)
	return nil
}

func (j *job) sendBlobs(ctx context.Context, blobs []*blob) error {
	sending, ctx := errgroup.WithContext(ctx)
	sending.SetLimit(max(1, j.Jobs))
	sent := make([]bool, len(blobs))
	for i, b := range blobs {
		sending.Go(func() (err error) {
			sent[i], err = b.send(ctx, j.to)
			return err
		})
	}
	err := sending.Wait()
	for i, b := range blobs {
		if sent[i] {
			j.result.Blobs++
			j.result.Bytes += b.Size
		} else {
			j.result.Held++
		}
	}
	return err
}

// verify reads back what the destination names now.
func (j *job) verify(ctx context.Context) error {
	got, err := j.to.readBack(ctx)
	if err != nil {
		return fmt.Errorf("reading back what was copied: %w", err)
	}
	if got.Digest != j.result.Digest {
		return fmt.Errorf("what was copied has the digest %s, and is read back with %s: somebody else may have pushed at the same time; run the command again", j.result.Digest, got.Digest)
	}
	return nil
}

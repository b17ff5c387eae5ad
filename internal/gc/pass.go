package gc

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// rowPage is how many rows or keys are read at a time.
	rowPage = 500
	// manifestPage is how many manifests are, of at most 4 MiB each.
	manifestPage = 16
)

// pass is one reading of everything. What it finds is removed, or only told of. Its
// memory is that of the largest repository's digests, and of those that would be removed.
type pass struct {
	*Collector
	remove      bool
	now, cutoff time.Time // what was used or stored before the cutoff is old enough
	each        func(Item) error
	summary     Summary
	// unlinked counts, for blobs whose links would be removed, how many.
	unlinked map[digest.Digest]int
}

func (c *Collector) newPass(o Options, remove bool) *pass {
	now := c.Now()
	return &pass{
		Collector: c, remove: remove, each: o.Each, unlinked: map[digest.Digest]int{},
		now: now, cutoff: now.Add(-max(Grace, o.KeepYoungerThan)),
	}
}

func (p *pass) run(ctx context.Context) (Summary, error) {
	for _, step := range []func(context.Context) error{p.repositories, p.blobs, p.orphans} {
		if err := step(ctx); err != nil {
			return p.summary, err
		}
	}
	return p.summary, nil
}

// found counts and tells of what was removed, or would be.
func (p *pass) found(i Item) error {
	p.summary.add(i)
	if p.each == nil {
		return nil
	}
	return p.each(i)
}

func (p *pass) repositories(ctx context.Context) error {
	for after := ""; ; {
		names, err := p.DB.Repositories.List(ctx, after, rowPage)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, repository := range names {
			if err := p.repository(ctx, repository); err != nil {
				return err
			}
		}
		after = names[len(names)-1]
	}
}

// repository removes the links of blobs that no manifest names. The manifests are read
// after the links: what is pushed later dates its links.
func (p *pass) repository(ctx context.Context, repository string) error {
	idle, undated, err := p.idle(ctx, repository)
	if err != nil || len(idle)+len(undated) == 0 {
		return err
	}
	named, err := p.named(ctx, repository)
	if err != nil {
		return err
	}
	for _, blobs := range pages(unnamed(undated, named)) {
		if !p.remove {
			break
		}
		if err := p.DB.Blobs.DateUse(ctx, repository, blobs, p.now); err != nil {
			return err
		}
	}
	for _, blobs := range pages(unnamed(idle, named)) {
		if err := p.unlink(ctx, repository, blobs); err != nil {
			return err
		}
	}
	return nil
}

// idle lists the blobs of a repository that were not used for long, and those of which
// it is not known.
func (p *pass) idle(ctx context.Context, repository string) (idle, undated []digest.Digest, err error) {
	for after := digest.Digest(""); ; {
		links, err := p.DB.Blobs.Links(ctx, repository, after, rowPage)
		if err != nil || len(links) == 0 {
			return idle, undated, err
		}
		for _, link := range links {
			switch {
			case link.UsedAt.IsZero():
				undated = append(undated, link.Digest)
			case link.UsedAt.Before(p.cutoff):
				idle = append(idle, link.Digest)
			}
		}
		after = links[len(links)-1].Digest
	}
}

func (p *pass) unlink(ctx context.Context, repository string, blobs []digest.Digest) error {
	if p.remove {
		var err error
		if blobs, err = p.DB.Blobs.UnlinkUnused(ctx, repository, blobs, p.cutoff); err != nil {
			return err
		}
	}
	for _, d := range blobs {
		p.unlinked[d]++
		if err := p.found(Item{Kind: Link, Repository: repository, Digest: d}); err != nil {
			return err
		}
	}
	return nil
}

// blobs removes those that no repository links.
func (p *pass) blobs(ctx context.Context) error {
	for after := digest.Digest(""); ; {
		unlinked, err := p.DB.Blobs.Unlinked(ctx, after, rowPage)
		if err != nil {
			return err
		}
		if len(unlinked) == 0 {
			break
		}
		for _, b := range unlinked {
			if err := p.blob(ctx, b); err != nil {
				return err
			}
		}
		after = unlinked[len(unlinked)-1].Digest
	}
	if p.remove {
		return nil
	}
	return p.wouldBeUnlinked(ctx)
}

func (p *pass) blob(ctx context.Context, b metadata.BlobUse) error {
	if p.kept(b.Digest) {
		return nil
	}
	if b.StoredAt.IsZero() && p.remove {
		return p.DB.Blobs.DateStored(ctx, b.Digest, p.now)
	}
	if b.StoredAt.IsZero() || !b.StoredAt.Before(p.cutoff) {
		return nil
	}
	if p.remove {
		if removed, err := p.Remove(ctx, b.Blob, p.cutoff); err != nil || !removed {
			return err
		}
	}
	return p.found(Item{Kind: Blob, Digest: b.Digest, Size: b.Size})
}

// wouldBeUnlinked tells of the blobs that lost their last link, had it been removed.
func (p *pass) wouldBeUnlinked(ctx context.Context) error {
	all := make([]digest.Digest, 0, len(p.unlinked))
	for d := range p.unlinked {
		all = append(all, d)
	}
	for _, blobs := range pages(all) {
		uses, err := p.DB.Blobs.Uses(ctx, blobs)
		if err != nil {
			return err
		}
		for _, b := range uses {
			if b.Links != p.unlinked[b.Digest] {
				continue
			}
			if err := p.blob(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

package backup

import (
	"context"
	"errors"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// pageSize is how many entries of a list are held at a time.
	pageSize = 1000
	// deepest bounds indexes within indexes.
	deepest = 4
)

// Affected is a lost blob and what cannot be pulled without it.
type Affected struct {
	Loss
	// Hosted tells that people pushed it, so that nobody but them has it. Others are
	// fetched again when they are pulled.
	Hosted bool
	Places []Place // none: nothing refers to it
}

// Place is a repository that has a blob, and those of its tags that need it.
type Place struct {
	Repository string
	Tags       []string
}

// FindAffected tells what is affected by losses. It reads the links of all
// repositories.
func FindAffected(ctx context.Context, db *metadata.DB, losses []Loss) ([]Affected, error) {
	if len(losses) == 0 {
		return nil, nil
	}
	f := finder{db: db, lost: make(map[digest.Digest]*Affected, len(losses))}
	all := make([]Affected, len(losses))
	for i, l := range losses {
		all[i].Loss = l
		f.lost[l.Digest] = &all[i]
	}
	err := pages(func(after string) (string, int, error) {
		page, err := db.Repositories.List(ctx, after, pageSize)
		for _, repository := range page {
			if err == nil {
				err = f.repository(ctx, repository)
			}
			after = repository
		}
		return after, len(page), err
	})
	return all, err
}

// pages calls fn with the last name of the page before until a page is not full.
func pages(fn func(after string) (last string, count int, err error)) error {
	for after, count := "", pageSize; count == pageSize; {
		var err error
		if after, count, err = fn(after); err != nil {
			return err
		}
	}
	return nil
}

// finder looks for what needs the lost blobs.
type finder struct {
	db   *metadata.DB
	lost map[digest.Digest]*Affected
}

// repository notes which lost blobs a repository links.
func (f *finder) repository(ctx context.Context, name string) error {
	var linked []*Affected
	err := pages(func(after string) (string, int, error) {
		page, err := f.db.Blobs.Links(ctx, name, digest.Digest(after), pageSize)
		for _, link := range page {
			if a := f.lost[link.Digest]; a != nil {
				linked = append(linked, a)
			}
			after = link.Digest.String()
		}
		return after, len(page), err
	})
	if err != nil || len(linked) == 0 {
		return err
	}
	tags, err := f.tags(ctx, name)
	if err != nil {
		return err
	}
	project, _, _ := strings.Cut(name, "/")
	p, err := f.db.Projects.Get(ctx, project)
	if err != nil {
		return err
	}
	for _, a := range linked {
		a.Hosted = a.Hosted || p.Kind == metadata.Hosted
		a.Places = append(a.Places, Place{Repository: name, Tags: tags[a.Digest]})
	}
	return nil
}

// tags are those of a repository by the lost blobs that they need.
func (f *finder) tags(ctx context.Context, repository string) (map[digest.Digest][]string, error) {
	needed := map[digest.Digest][]string{}
	err := pages(func(after string) (string, int, error) {
		page, err := f.db.Tags.List(ctx, repository, after, pageSize)
		for _, tag := range page {
			if err == nil {
				err = f.tag(ctx, repository, tag, needed)
			}
			after = tag
		}
		return after, len(page), err
	})
	return needed, err
}

func (f *finder) tag(ctx context.Context, repository, tag string, needed map[digest.Digest][]string) error {
	m, _, err := f.db.Manifests.GetByTag(ctx, repository, tag)
	if err != nil {
		return err
	}
	blobs := map[digest.Digest]bool{}
	if err := f.walk(ctx, repository, m, deepest, blobs); err != nil {
		return err
	}
	for d := range blobs {
		needed[d] = append(needed[d], tag)
	}
	return nil
}

// walk gathers the lost blobs that a manifest and those below it refer to. One that
// cannot be read refers to nothing.
func (f *finder) walk(ctx context.Context, repository string, m oci.Manifest, depth int, blobs map[digest.Digest]bool) error {
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil || depth == 0 {
		return nil
	}
	for _, d := range content.Blobs() {
		if f.lost[d] != nil {
			blobs[d] = true
		}
	}
	for _, child := range content.Manifests {
		below, err := f.db.Manifests.Get(ctx, repository, child.Digest)
		if errors.Is(err, metadata.ErrNotFound) {
			continue
		}
		if err == nil {
			err = f.walk(ctx, repository, below, depth-1, blobs)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// readHolding reads what a repository holds. What changes meanwhile is in it as it was
// or as it is; whoever removes something makes sure that it is still as it was read.
func readHolding(ctx context.Context, db *metadata.DB, repository string) (Holding, error) {
	var held Holding
	err := forEach(
		func(after string) ([]metadata.Tag, error) { return db.Tags.Entries(ctx, repository, after, rowPage) },
		func(t metadata.Tag) (string, error) { held.Tags = append(held.Tags, t); return t.Name, nil })
	if err != nil {
		return Holding{}, err
	}
	untagged := map[digest.Digest]time.Time{}
	err = forEach(
		func(after digest.Digest) ([]metadata.Untagging, error) {
			return db.Manifests.Untagged(ctx, repository, after, rowPage)
		},
		func(u metadata.Untagging) (digest.Digest, error) { untagged[u.Digest] = u.At; return u.Digest, nil })
	if err != nil {
		return Holding{}, err
	}
	err = forEach(
		func(after digest.Digest) ([]metadata.ManifestLink, error) {
			return db.Manifests.Links(ctx, repository, after, rowPage)
		},
		func(l metadata.ManifestLink) (digest.Digest, error) {
			held.Manifests = append(held.Manifests, HeldManifest{ManifestLink: l, UntaggedAt: untagged[l.Digest]})
			return l.Digest, nil
		})
	if err != nil {
		return Holding{}, err
	}
	return held, readContents(ctx, db, repository, held.Manifests)
}

// forEach reads lists until one is empty, and hands each entry to take, which returns its
// key.
func forEach[T any, K ~string](list func(after K) ([]T, error), take func(T) (K, error)) error {
	for after := K(""); ; {
		page, err := list(after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, one := range page {
			if after, err = take(one); err != nil {
				return err
			}
		}
	}
}

// readContents fills in what the manifests themselves say.
func readContents(ctx context.Context, db *metadata.DB, repository string, all []HeldManifest) error {
	place := make(map[digest.Digest]int, len(all))
	for i, m := range all {
		place[m.Digest] = i
	}
	children := make([][]int, len(all))
	err := forEach(
		func(after digest.Digest) ([]oci.Manifest, error) {
			return db.Manifests.List(ctx, repository, after, manifestPage)
		},
		func(m oci.Manifest) (digest.Digest, error) {
			i, known := place[m.Digest]
			if !known {
				return m.Digest, nil // pushed this very moment
			}
			for _, d := range oci.NamedDigests(m.Content) {
				if _, held := place[d]; held && d != m.Digest {
					all[i].Names = append(all[i].Names, d)
				}
			}
			all[i].ImageSize, children[i] = ownSize(m, place)
			return m.Digest, nil
		})
	if err != nil {
		return err
	}
	addChildren(all, children)
	return nil
}

// ownSize is what a manifest, its configuration and its layers take, and which of the
// held manifests an index lists. What cannot be read refers to nothing of a known size:
// caches keep whatever their upstream sends.
func ownSize(m oci.Manifest, place map[digest.Digest]int) (size int64, children []int) {
	size = int64(len(m.Content))
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return size, nil
	}
	blobs := map[digest.Digest]int64{}
	for _, layer := range content.Layers {
		blobs[layer.Digest] = layer.Size
	}
	if content.Config != nil {
		blobs[content.Config.Digest] = content.Config.Size
	}
	for _, bytes := range blobs {
		size += bytes
	}
	for _, child := range content.Manifests {
		if i, held := place[child.Digest]; held {
			children = append(children, i)
		}
	}
	return size, children
}

// addChildren adds the sizes of the manifests that an index lists. Those are not looked
// into: an index of indexes has a size that is too small, and no list of lists makes work.
func addChildren(all []HeldManifest, children [][]int) {
	own := make([]int64, len(all))
	for i, m := range all {
		own[i] = m.ImageSize
	}
	for i := range all {
		for _, child := range children[i] {
			all[i].ImageSize += own[child]
		}
	}
}

// judgeRepository reads a repository and judges it.
func judgeRepository(ctx context.Context, db *metadata.DB, repository string, rules Rules, now time.Time) (Judgment, error) {
	held, err := readHolding(ctx, db, repository)
	if err != nil {
		return Judgment{}, fmt.Errorf("reading what %s holds: %w", repository, err)
	}
	return Judge(rules, held, now), nil
}

// withImmutable adds to rules the tags that nobody may remove from a project. One that
// was deleted meanwhile has none.
func withImmutable(ctx context.Context, db *metadata.DB, project string, rules Rules) (Rules, error) {
	p, err := db.Projects.Get(ctx, project)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return Rules{}, fmt.Errorf("reading which tags are immutable: %w", err)
	}
	rules.Immutable = p.ImmutableTags
	return rules, nil
}

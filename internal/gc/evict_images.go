package gc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// rowsAtOnce is how many rows are asked of the database at a time.
	rowsAtOnce = 1000
	// maxContents bounds how many manifests are remembered while images are evicted.
	maxContents = 100_000
)

// cachedImage is a manifest of a cache project that no index of its repository has, and
// all the manifests that belong to it.
type cachedImage struct {
	repository string
	root       digest.Digest
	used       time.Time       // when any of it was last pulled, or fetched
	pinned     bool            // or gone upstream: it stays
	members    []digest.Digest // root included
}

// references is what a manifest refers to.
type references struct{ manifests, blobs []digest.Digest }

// shelves reads the repositories of cache projects for one eviction.
type shelves struct {
	db       *metadata.DB
	contents map[digest.Digest]references
}

// images lists the cached images that may go, the least recently used first.
func (s *shelves) images(ctx context.Context) ([]cachedImage, error) {
	var all []cachedImage
	err := s.repositories(ctx, func(repository string) error {
		shelf, err := s.shelf(ctx, repository)
		if err != nil {
			return err
		}
		for _, image := range shelf.images() {
			if !image.pinned {
				image.members = nil // they are read anew
				all = append(all, image)
			}
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b cachedImage) int { return a.used.Compare(b.used) })
	return all, err
}

// repositories calls fn for every repository of a cache project.
func (s *shelves) repositories(ctx context.Context, fn func(string) error) error {
	for after := ""; ; {
		projects, err := s.db.Projects.List(ctx, after, rowsAtOnce)
		if err != nil || len(projects) == 0 {
			return err
		}
		for _, project := range projects {
			after = project.Name
			if project.Kind != metadata.Cache {
				continue
			}
			if err := s.ofProject(ctx, project.Name, fn); err != nil {
				return err
			}
		}
	}
}

func (s *shelves) ofProject(ctx context.Context, project string, fn func(string) error) error {
	for after := ""; ; {
		names, err := s.db.Repositories.ListProject(ctx, project, after, rowsAtOnce)
		if err != nil || len(names) == 0 {
			return err
		}
		for _, after = range names {
			if err := fn(after); err != nil {
				return err
			}
		}
	}
}

// shelf is one repository's manifests, and which of them have which.
type shelf struct {
	repository string
	links      map[digest.Digest]metadata.ManifestLink
	children   map[digest.Digest][]digest.Digest // that are there
}

func (s *shelves) shelf(ctx context.Context, repository string) (*shelf, error) {
	found := &shelf{repository: repository, links: map[digest.Digest]metadata.ManifestLink{}, children: map[digest.Digest][]digest.Digest{}}
	for after := digest.Digest(""); ; {
		links, err := s.db.Manifests.Links(ctx, repository, after, rowsAtOnce)
		if err != nil {
			return nil, err
		}
		if len(links) == 0 {
			break
		}
		for _, link := range links {
			found.links[link.Digest], after = link, link.Digest
		}
	}
	for d, link := range found.links {
		if !(oci.Content{MediaType: link.MediaType}).Index() {
			continue
		}
		refers, err := s.references(ctx, repository, d)
		if err != nil {
			return nil, err
		}
		for _, child := range refers.manifests {
			if _, there := found.links[child]; there {
				found.children[d] = append(found.children[d], child)
			}
		}
	}
	return found, nil
}

// references reads what a manifest refers to. One that Larder cannot read refers to
// nothing that Larder knows of; one that is gone refers to nothing any more.
func (s *shelves) references(ctx context.Context, repository string, d digest.Digest) (references, error) {
	if known, ok := s.contents[d]; ok {
		return known, nil
	}
	manifest, err := s.db.Manifests.Get(ctx, repository, d)
	if errors.Is(err, metadata.ErrNotFound) {
		return references{}, nil
	}
	if err != nil {
		return references{}, fmt.Errorf("reading manifest %s of %s: %w", d, repository, err)
	}
	var refers references
	if content, err := oci.ParseManifest(manifest.MediaType, manifest.Content); err == nil {
		refers.blobs = content.Blobs()
		for _, child := range content.Manifests {
			refers.manifests = append(refers.manifests, child.Digest)
		}
	}
	if len(s.contents) >= maxContents {
		clear(s.contents)
	}
	s.contents[d] = refers
	return refers, nil
}

// images groups the manifests: an index goes with its children. A child that several
// have counts for each of them.
func (s *shelf) images() []cachedImage {
	isChild := map[digest.Digest]bool{}
	for _, children := range s.children {
		for _, child := range children {
			isChild[child] = true
		}
	}
	var all []cachedImage
	for d := range s.links {
		if !isChild[d] {
			all = append(all, s.image(d))
		}
	}
	slices.SortFunc(all, func(a, b cachedImage) int { return cmp.Compare(a.root, b.root) })
	return all
}

func (s *shelf) image(root digest.Digest) cachedImage {
	image := cachedImage{repository: s.repository, root: root}
	seen := map[digest.Digest]bool{}
	for next := []digest.Digest{root}; len(next) > 0; next = next[1:] {
		d := next[0]
		if seen[d] {
			continue
		}
		seen[d] = true
		link := s.links[d]
		image.members = append(image.members, d)
		image.pinned = image.pinned || link.Pinned || link.Vanished
		image.used = latest(image.used, link.PulledAt, link.PushedAt)
		next = append(next, s.children[d]...)
	}
	return image
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// eviction is what goes with an image that was listed: its manifests but those that other
// images have too, and the blobs that nothing else in the repository refers to. It is not
// ok when the image was used since, was pinned, or is gone.
func (s *shelves) eviction(ctx context.Context, listed cachedImage) (e metadata.Eviction, ok bool, err error) {
	shelf, err := s.shelf(ctx, listed.repository)
	if err != nil {
		return e, false, err
	}
	if _, there := shelf.links[listed.root]; !there {
		return e, false, nil
	}
	image := shelf.image(listed.root)
	if image.pinned || image.used.After(listed.used) {
		return e, false, nil
	}
	stay := maps.Clone(shelf.links)
	for _, d := range image.members {
		delete(stay, d)
	}
	for _, other := range shelf.images() {
		for _, d := range other.members {
			if other.root != image.root {
				stay[d] = shelf.links[d]
			}
		}
	}
	e = metadata.Eviction{Repository: listed.repository, UsedUntil: image.used}
	for _, d := range image.members {
		if _, stays := stay[d]; !stays {
			e.Manifests = append(e.Manifests, d)
		}
	}
	e.Blobs, err = s.onlyOf(ctx, listed.repository, e.Manifests, stay)
	return e, err == nil, err
}

// onlyOf lists the blobs that manifests refer to and that those which stay do not.
func (s *shelves) onlyOf(ctx context.Context, repository string, manifests []digest.Digest, stay map[digest.Digest]metadata.ManifestLink) ([]digest.Digest, error) {
	needed := map[digest.Digest]bool{}
	for d := range stay {
		refers, err := s.references(ctx, repository, d)
		if err != nil {
			return nil, err
		}
		for _, blob := range refers.blobs {
			needed[blob] = true
		}
	}
	var only []digest.Digest
	for _, d := range manifests {
		refers, err := s.references(ctx, repository, d)
		if err != nil {
			return nil, err
		}
		for _, blob := range refers.blobs {
			if !needed[blob] {
				needed[blob] = true
				only = append(only, blob)
			}
		}
	}
	return only, nil
}

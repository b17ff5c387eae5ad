package chaos_test

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// certainty is what a client knows of something that it pushed or deleted.
type certainty int

const (
	absent  certainty = iota // its deletion was acknowledged, or it was never pushed
	present                  // its push was acknowledged
	unsure                   // the server was killed before it answered
)

// manifest is one that was pushed to a shelf.
type manifest struct {
	image
	state certainty
}

// tag says what a tag may point to.
type tag struct {
	digests   []digest.Digest
	mayBeGone bool
}

// upload is one that was begun and left, to be gone on with after the next start.
type upload struct {
	content      content
	location     string
	acknowledged int64 // bytes
	ending       bool  // its last request was sent
}

// shelf is a repository and all that its only client knows of it.
type shelf struct {
	repository string
	blobs      map[digest.Digest]certainty
	manifests  map[digest.Digest]*manifest
	tags       map[string]tag
	upload     *upload
	// touched are the blobs and manifests of the present round.
	touched map[digest.Digest]bool
	// collected says that what no manifest names is removed once it is old.
	collected bool
	// changed, when set, is called after each change of the rest.
	changed func()
}

func newShelf(repository string) *shelf {
	return &shelf{
		repository: repository,
		blobs:      map[digest.Digest]certainty{},
		manifests:  map[digest.Digest]*manifest{},
		tags:       map[string]tag{},
		touched:    map[digest.Digest]bool{},
	}
}

// note says that something has changed.
func (s *shelf) note() {
	if s.changed != nil {
		s.changed()
	}
}

// clone copies all that will change.
func (s *shelf) clone() *shelf {
	c := newShelf(s.repository)
	maps.Copy(c.blobs, s.blobs)
	maps.Copy(c.tags, s.tags)
	for d, m := range s.manifests {
		c.manifests[d] = &manifest{m.image, m.state}
	}
	if s.upload != nil {
		left := *s.upload
		c.upload = &left
	}
	return c
}

// blobSent comes before a push, blobKept after its acknowledgment.
func (s *shelf) blobSent(d digest.Digest) {
	s.touched[d] = true
	if s.blobs[d] == absent {
		s.blobs[d] = unsure
	}
	s.note()
}

func (s *shelf) blobKept(d digest.Digest) {
	s.blobs[d] = present
	s.note()
}

// deletingBlob comes before a deletion, blobDeleted after its acknowledgment.
func (s *shelf) deletingBlob(d digest.Digest) {
	s.touched[d] = true
	s.blobs[d] = unsure
	s.note()
}

func (s *shelf) blobDeleted(d digest.Digest) {
	s.blobs[d] = absent
	s.note()
}

func (s *shelf) manifestSent(i image, tags []string) {
	s.touched[i.digest] = true
	if m := s.manifests[i.digest]; m == nil || m.state == absent {
		s.manifests[i.digest] = &manifest{i, unsure}
	}
	for _, name := range tags {
		was, known := s.tags[name]
		s.tags[name] = tag{append(slices.Clone(was.digests), i.digest), !known || was.mayBeGone}
	}
	s.note()
}

func (s *shelf) manifestKept(i image, tags []string) {
	s.manifests[i.digest].state = present
	for _, name := range tags {
		s.tags[name] = tag{digests: []digest.Digest{i.digest}}
	}
	s.note()
}

func (s *shelf) deletingManifest(d digest.Digest) {
	s.touched[d] = true
	s.manifests[d].state = unsure
	s.mayBeCollected(slices.Values(s.manifests[d].refers))
	for name, at := range s.tags {
		if slices.Contains(at.digests, d) {
			s.tags[name] = tag{at.digests, true}
		}
	}
	s.note()
}

func (s *shelf) manifestDeleted(d digest.Digest) {
	s.manifests[d].state = absent
	for name, at := range s.tags {
		if slices.Contains(at.digests, d) {
			delete(s.tags, name)
		}
	}
	s.note()
}

func (s *shelf) deletingTag(name string) {
	s.tags[name] = tag{s.tags[name].digests, true}
	s.note()
}

func (s *shelf) tagDeleted(name string) {
	delete(s.tags, name)
	s.note()
}

// leave keeps an upload in mind that is gone on with later, or none.
func (s *shelf) leave(u *upload) {
	s.upload = u
	s.note()
}

// aged comes when all that is there has become old enough to be collected.
func (s *shelf) aged() { s.mayBeCollected(maps.Keys(s.blobs)) }

// mayBeCollected makes uncertain which of these blobs are there, of those that no
// manifest names that is there for certain.
func (s *shelf) mayBeCollected(blobs iter.Seq[digest.Digest]) {
	if !s.collected {
		return
	}
	named := map[digest.Digest]bool{}
	for _, m := range s.kept(func(*manifest) bool { return true }) {
		for _, d := range m.refers {
			named[d] = true
		}
	}
	for d := range blobs {
		if s.blobs[d] == present && !named[d] {
			s.blobs[d] = unsure
		}
	}
	s.note()
}

// kept lists manifests that are there for certain and that keep says yes to, in an
// order that follows from their digests.
func (s *shelf) kept(keep func(*manifest) bool) []*manifest {
	var found []*manifest
	for _, m := range s.manifests {
		if m.state == present && keep(m) {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *manifest) int { return cmp.Compare(a.digest, b.digest) })
	return found
}

func (m *manifest) isIndex() bool { return m.mediaType == v1.MediaTypeImageIndex }

// referred are the blobs and manifests that something which may be there refers to.
func (s *shelf) referred() map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	for _, m := range s.manifests {
		if m.state == absent {
			continue
		}
		for _, d := range m.refers {
			all[d] = true
		}
	}
	return all
}

// unreferred lists blobs that are there for certain and that nothing refers to.
func (s *shelf) unreferred() []digest.Digest {
	referred := s.referred()
	var found []digest.Digest
	for _, d := range slices.Sorted(maps.Keys(s.blobs)) {
		if s.blobs[d] == present && !referred[d] {
			found = append(found, d)
		}
	}
	return found
}

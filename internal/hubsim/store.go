package hubsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// store holds repositories and what they link.
type store struct {
	mu           sync.RWMutex
	repositories map[string]*repository
	blobs        map[digest.Digest]blob
}

type repository struct {
	private   bool
	readers   map[string]bool // of accounts for which it is not as Options say
	gone      int             // RepositoryGone faults that hide it
	tags      map[string]digest.Digest
	manifests map[digest.Digest]manifest
	blobs     map[digest.Digest]struct{}
}

func newStore() *store {
	return &store{repositories: map[string]*repository{}, blobs: map[digest.Digest]blob{}}
}

// visible is a repository that exists and is not hidden. mu must be held.
func (s *store) visible(name string) (*repository, bool) {
	repo, ok := s.repositories[name]
	return repo, ok && repo.gone == 0
}

// ensure makes a repository on its first use. mu must be held for writing.
func (s *store) ensure(name string) *repository {
	repo, ok := s.repositories[name]
	if !ok {
		repo = &repository{
			tags:      map[string]digest.Digest{},
			manifests: map[digest.Digest]manifest{},
			blobs:     map[digest.Digest]struct{}{},
		}
		s.repositories[name] = repo
	}
	return repo
}

func (s *store) visibility(name string) (exists, private bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.visible(name)
	return ok, ok && repo.private
}

func (s *store) manifest(name, reference string) (manifest, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.visible(name)
	if !ok {
		return manifest{}, false
	}
	d, isDigest := asDigest(reference)
	if !isDigest {
		d = repo.tags[reference]
	}
	m, ok := repo.manifests[d]
	return m, ok
}

// child is the manifest of one platform in an index.
func (s *store) child(name string, index manifest, os, architecture string) (manifest, bool) {
	var list ocispec.Index
	if json.Unmarshal(index.raw, &list) != nil {
		return manifest{}, false
	}
	for _, entry := range list.Manifests {
		if p := entry.Platform; p != nil && p.OS == os && p.Architecture == architecture {
			return s.manifest(name, entry.Digest.String())
		}
	}
	return manifest{}, false
}

func (s *store) referrers(name string, subject digest.Digest) []manifest {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.visible(name)
	if !ok {
		return nil
	}
	var found []manifest
	for m := range maps.Values(repo.manifests) {
		if m.subject == subject {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b manifest) int { return cmp.Compare(a.digest, b.digest) })
	return found
}

// tags lists a repository's tags in order; empty, never nil.
func (s *store) tags(name string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.visible(name)
	if !ok {
		return []string{}
	}
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(repo.tags))))
}

func (s *store) links(name string, d digest.Digest) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.visible(name)
	if !ok {
		return false
	}
	_, ok = repo.blobs[d]
	return ok
}

// linking lists the repositories that hold a blob.
func (s *store) linking(d digest.Digest) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name, repo := range s.repositories {
		if _, ok := repo.blobs[d]; ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *store) blob(d digest.Digest) (blob, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d]
	return b, ok
}

func (s *store) addBlob(name string, b blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensure(name).blobs[b.digest] = struct{}{}
	s.blobs[b.digest] = b
}

func (s *store) addManifest(name, tag string, m manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.ensure(name)
	repo.manifests[m.digest] = m
	if tag != "" {
		repo.tags[tag] = m.digest
	}
}

// MoveTag points a tag at a manifest that the repository has already.
func (h *Hub) MoveTag(repository, tag string, d digest.Digest) error {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	repo, ok := h.store.repositories[repository]
	if !ok {
		return fmt.Errorf("moving tag %s:%s: %w", repository, tag, errRepositoryMissing)
	}
	if _, ok := repo.manifests[d]; !ok {
		return fmt.Errorf("moving tag %s:%s: the repository has no manifest %s", repository, tag, d)
	}
	repo.tags[tag] = d
	return nil
}

// DeleteTag removes a tag, if it is there; its manifest stays.
func (h *Hub) DeleteTag(repository, tag string) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if repo, ok := h.store.repositories[repository]; ok {
		delete(repo.tags, tag)
	}
}

// Delete removes a repository for good, if it is there.
func (h *Hub) Delete(repository string) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	delete(h.store.repositories, repository)
}

// SetPrivate hides a repository from all but the accounts that list it, or
// shows it to everyone. It makes the repository if there is none.
func (h *Hub) SetPrivate(repository string, private bool) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.ensure(repository).private = private
}

// SetReader lets an account read a private repository, or takes that from it, whatever
// Options say. It makes the repository if there is none.
func (h *Hub) SetReader(repository, account string, may bool) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	repo := h.store.ensure(repository)
	if repo.readers == nil {
		repo.readers = map[string]bool{}
	}
	repo.readers[account] = may
}

// reader tells whether an account was let read a repository, or had that taken; set is false
// when neither was.
func (s *store) reader(name, account string) (may, set bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	repo, ok := s.visible(name)
	if !ok {
		return false, false
	}
	may, set = repo.readers[account]
	return may, set
}

func (s *store) hide(name string, change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if repo, ok := s.repositories[name]; ok {
		repo.gone += change
	}
}

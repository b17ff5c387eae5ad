package pulllimit

import (
	"hash/fnv"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	// halfLife is how long after an index one of its manifests belongs to the same pull.
	halfLife = 10 * time.Minute
	// maxHalves is how many indexes of one subject wait for that at once.
	maxHalves = 1000
	// maxFamilies is how many indexes are remembered, and maxChildren how many manifests of
	// each.
	maxFamilies = 1000
	maxChildren = 1000
)

// half is the GET of an index whose manifest may follow as part of the same pull.
type half struct {
	id     uint64 // unique to the process
	repo   oci.Repository
	family *family
	at     time.Time
}

// family is an index and its manifests.
type family struct{ children map[digest.Digest]struct{} }

// families are those of the indexes that were pulled lately, so that an index is not read
// at each pull.
type families struct {
	mu    sync.Mutex
	known map[digest.Digest]*family
}

// of finds the manifests of an index; nil where it cannot be read.
func (f *families) of(m oci.Manifest) *family {
	f.mu.Lock()
	known, ok := f.known[m.Digest]
	f.mu.Unlock()
	if ok {
		return known
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return nil
	}
	children := content.Manifests[:min(len(content.Manifests), maxChildren)]
	made := &family{children: make(map[digest.Digest]struct{}, len(children))}
	for _, child := range children {
		made.children[child.Digest] = struct{}{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for other := range f.known {
		if len(f.known) < maxFamilies {
			break
		}
		delete(f.known, other)
	}
	f.known[m.Digest] = made
	return made
}

// open notes that the pull has fetched an index.
func (p *Pull) open(m oci.Manifest) {
	l := p.limiter
	f := l.families.of(m)
	if f == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.counts.dropped {
		l.halves++
		p.counts.reopen(&half{id: l.halves, repo: p.repo, family: f, at: p.at})
		l.change(p.counts)
	}
}

// reopen lets a half wait for its other one, in the order of their times. The oldest gives
// way when there are too many.
func (c *counts) reopen(h *half) {
	if len(c.halves) >= maxHalves {
		c.halves = c.halves[1:]
	}
	i := len(c.halves)
	for i > 0 && c.halves[i-1].at.After(h.at) {
		i--
	}
	c.halves = slices.Insert(c.halves, i, h)
}

// complete finds the half that a GET of a manifest completes, the latest first, and takes
// it; nil when there is none.
func (c *counts) complete(repo oci.Repository, d digest.Digest, now time.Time) *half {
	c.expireHalves(now)
	var not *family // the last that was looked into: many clients pull one image at once
	for i := len(c.halves) - 1; i >= 0; i-- {
		h := c.halves[i]
		if h.family == not || h.repo != repo {
			continue
		}
		if _, child := h.family.children[d]; child {
			c.halves = slices.Delete(c.halves, i, i+1)
			return h
		}
		not = h.family
	}
	return nil
}

// expireHalves looks at no more than the oldest that is left: it is called at each GET.
func (c *counts) expireHalves(now time.Time) {
	gone := 0
	for gone < len(c.halves) && now.Sub(c.halves[gone].at) > halfLife {
		gone++
	}
	if c.halves = c.halves[gone:]; len(c.halves) == 0 && gone > 0 {
		c.halves = nil // with the room that they took
	}
}

// sum stands for a manifest of a repository among processes.
func sum(repo oci.Repository, d digest.Digest) uint64 {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, string(repo)+"@"+string(d)) // a hash never fails
	return hash.Sum64()
}

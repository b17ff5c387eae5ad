package registry

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	defaultHotManifests = 64 << 20
	// hotOverhead is what an entry costs beside its key and content, in bytes.
	hotOverhead = 256
	// repositoryStripes is how many groups repositories fall into for forgetting.
	repositoryStripes = 1024
)

type hotKey struct {
	repository oci.Repository
	reference  oci.Reference
}

type hotEntry struct {
	manifest oci.Manifest
	epoch    hotEpoch
}

// hotEpoch is a moment in a repository's life: what was read in it holds as long as it
// lasts.
type hotEpoch struct {
	own    uint64 // counts the writes of this process
	others metadata.Mark
}

// hotManifests keeps manifests in memory, by tag and by digest, bounded by bytes.
// An entry counts only while its repository's epoch is the one that was current
// before the entry was read from metadata, and every write advances the epoch
// before it is acknowledged. So nobody sees an older manifest than was acknowledged,
// even when reading and writing cross. What other processes write ends an epoch too,
// within a second.
type hotManifests struct {
	entries *otter.Cache[hotKey, hotEntry]
	seed    maphash.Seed
	writes  [repositoryStripes]atomic.Uint64
	others  *metadata.Changes
}

func newHotManifests(bytes uint64, others *metadata.Changes) *hotManifests {
	return &hotManifests{
		seed:   maphash.MakeSeed(),
		others: others,
		entries: otter.Must(&otter.Options[hotKey, hotEntry]{
			MaximumWeight: bytes,
			Executor:      func(task func()) { task() }, // starts no goroutine that nobody waits for
			Weigher: func(k hotKey, e hotEntry) uint32 {
				return uint32(hotOverhead + len(k.repository) + len(k.reference.Tag) + len(k.reference.Digest) + len(e.manifest.Content))
			},
		}),
	}
}

func (h *hotManifests) epoch(repo oci.Repository) hotEpoch {
	return hotEpoch{own: h.own(repo).Load(), others: h.others.Repository(string(repo))}
}

func (h *hotManifests) own(repo oci.Repository) *atomic.Uint64 {
	return &h.writes[maphash.String(h.seed, string(repo))%repositoryStripes]
}

func (h *hotManifests) get(repo oci.Repository, ref oci.Reference) (oci.Manifest, bool) {
	entry, ok := h.entries.GetIfPresent(hotKey{repo, ref})
	if !ok || entry.epoch != h.epoch(repo) {
		return oci.Manifest{}, false
	}
	return entry.manifest, true
}

// set keeps a manifest that was read from metadata while the epoch was as given.
func (h *hotManifests) set(repo oci.Repository, ref oci.Reference, m oci.Manifest, epoch hotEpoch) {
	h.entries.Set(hotKey{repo, ref}, hotEntry{manifest: m, epoch: epoch})
}

// forget is called after a repository's manifests or tags have changed, and before
// the change is acknowledged.
func (h *hotManifests) forget(repo oci.Repository) { h.own(repo).Add(1) }

package registry

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

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
	epoch    uint64
}

// hotManifests keeps manifests in memory, by tag and by digest, bounded by bytes.
// An entry counts only while its repository's epoch is the one that was current
// before the entry was read from metadata, and every write advances the epoch
// before it is acknowledged. So nobody sees an older manifest than was acknowledged,
// even when reading and writing cross.
type hotManifests struct {
	entries *otter.Cache[hotKey, hotEntry]
	seed    maphash.Seed
	epochs  [repositoryStripes]atomic.Uint64
}

func newHotManifests(bytes uint64) *hotManifests {
	return &hotManifests{
		seed: maphash.MakeSeed(),
		entries: otter.Must(&otter.Options[hotKey, hotEntry]{
			MaximumWeight: bytes,
			Executor:      func(task func()) { task() }, // starts no goroutine that nobody waits for
			Weigher: func(k hotKey, e hotEntry) uint32 {
				return uint32(hotOverhead + len(k.repository) + len(k.reference.Tag) + len(k.reference.Digest) + len(e.manifest.Content))
			},
		}),
	}
}

func (h *hotManifests) epoch(repo oci.Repository) *atomic.Uint64 {
	return &h.epochs[maphash.String(h.seed, string(repo))%repositoryStripes]
}

func (h *hotManifests) get(repo oci.Repository, ref oci.Reference) (oci.Manifest, bool) {
	entry, ok := h.entries.GetIfPresent(hotKey{repo, ref})
	if !ok || entry.epoch != h.epoch(repo).Load() {
		return oci.Manifest{}, false
	}
	return entry.manifest, true
}

// set keeps a manifest that was read from metadata while the epoch was as given.
func (h *hotManifests) set(repo oci.Repository, ref oci.Reference, m oci.Manifest, epoch uint64) {
	h.entries.Set(hotKey{repo, ref}, hotEntry{manifest: m, epoch: epoch})
}

// forget is called after a repository's manifests or tags have changed, and before
// the change is acknowledged.
func (h *hotManifests) forget(repo oci.Repository) { h.epoch(repo).Add(1) }

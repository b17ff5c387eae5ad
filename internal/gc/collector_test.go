package gc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

func link(repo oci.Repository, d digest.Digest) gc.Item {
	return gc.Item{Kind: gc.Link, Repository: string(repo), Digest: d}
}

func (h *house) blobItem(d digest.Digest) gc.Item {
	return gc.Item{Kind: gc.Blob, Digest: d, Size: h.row(d).Size}
}

func TestABlobThatNoManifestNamesGoesAfterTheGrace(t *testing.T) {
	h := newHouse(t)
	d := h.push(app, "a layer")
	row := h.blobItem(d)
	h.age(aWhile)
	h.same([]gc.Item(nil), h.collect())
	h.age(long - aWhile)
	h.same([]gc.Item{row, link(app, d)}, h.collect())
	h.same(state{}, h.state())
	h.same([]gc.Item(nil), h.collect())
}

// distribution/distribution#3178 and #3004 (row 25): collecting garbage removes the children
// of indexes.
func TestWhatManifestsNameStays(t *testing.T) {
	for name, furnish := range map[string]func(h *house){
		"the config and the layers of an image": func(h *house) {
			h.manifest(app, image(h.push(app, "config"), h.push(app, "a layer"), h.push(app, "another")))
		},
		"the children of an index that alone has a tag": func(h *house) {
			child := image(h.push(app, "config"), h.push(app, "a layer"))
			h.manifest(app, child)
			h.manifest(app, index(child))
		},
		"a blob in two repositories": func(h *house) {
			h.manifest(app, image(h.push(app, "shared")))
			h.manifest(other, image(h.push(other, "shared")))
		},
		"a layer that need not be there": func(h *house) {
			h.manifest(app, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"`+h.push(app, "config").String()+
				`","size":1},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"`+h.push(app, "foreign").String()+`","size":1}]}`))
		},
		"the parts of a manifest whose type nobody knows": func(h *house) {
			h.ok(h.tryManifest(app, []byte(`{"parts":["`+h.push(app, "a part").String()+`"]}`), "application/x"))
		},
		"the layers of a signature": func(h *house) {
			h.manifest(app, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x","config":{"digest":"`+
				h.push(app, "config").String()+`","size":1},"layers":[{"digest":"`+h.push(app, "signature").String()+`","size":1}],"subject":{"digest":"`+
				digest.FromString("gone").String()+`","size":1}}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			furnish(h)
			h.age(long)
			before := h.state()
			h.same([]gc.Item(nil), h.preview())
			h.same([]gc.Item(nil), h.collect())
			h.same(before, h.state())
		})
	}
}

func TestABlobIsKeptOnlyByManifestsOfItsOwnRepository(t *testing.T) {
	h := newHouse(t)
	d := h.push(app, "shared")
	h.push(other, "shared")
	h.manifest(app, image(d))
	h.age(long)
	h.same([]gc.Item{link(other, d)}, h.collect())
	h.ok(h.whole(app, d))
	if err := h.whole(other, d); oci.CodeOf(err) != oci.CodeBlobUnknown {
		t.Errorf("got the error %v", err)
	}
}

func TestTheBlobsOfADeletedManifestGo(t *testing.T) {
	h := newHouse(t)
	config, layer := h.push(app, "config"), h.push(app, "a layer")
	kept := h.manifest(app, image(config))
	h.ok(h.DeleteManifest(t.Context(), app, h.manifest(app, image(config, layer))))
	row := h.blobItem(layer)
	h.age(long)
	h.same([]gc.Item{row, link(app, layer)}, h.collect())
	h.ok(h.whole(app, config))
	if _, _, err := h.Manifest(t.Context(), oci.Caller{}, app, oci.Reference{Digest: kept}); err != nil {
		t.Error(err)
	}
}

func TestABlobThatAClientWasToldOfWaitsAnotherGrace(t *testing.T) {
	for name, tell := range map[string]func(h *house, d digest.Digest) error{
		"by HEAD": func(h *house, d digest.Digest) error {
			_, _, err := h.StatBlob(h.t.Context(), oci.Caller{}, app, d)
			return err
		},
		"by a mount from there":    func(h *house, d digest.Digest) error { return h.MountBlob(h.t.Context(), other, app, d) },
		"by pushing it once again": func(h *house, _ digest.Digest) error { h.push(app, "a layer"); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			d := h.push(app, "a layer")
			h.age(long)
			h.ok(tell(h, d))
			h.same([]gc.Item(nil), h.collect())
			h.ok(h.whole(app, d))
		})
	}
}

func TestAPreviewTellsExactlyWhatIsThenRemovedAndRemovesNothing(t *testing.T) {
	h := newHouse(t)
	h.litter()
	before := h.state()
	told := h.preview()
	h.same(before, h.state())
	if len(told) != 6 {
		t.Errorf("the preview tells of %d items, want 6: %v", len(told), told)
	}
	h.same(told, h.collect())
	h.same([]gc.Item(nil), h.preview())
}

// litter leaves an image, and something of each kind to remove: two idle links of one
// blob, one of a blob that is used elsewhere, a blob without a link, and an orphan.
func (h *house) litter() {
	h.t.Helper()
	config := h.push(app, "config")
	h.manifest(app, image(config, h.push(app, "a layer")))
	h.push(app, "idle")
	h.push(other, "idle")
	h.push(other, "config")
	h.push(app, "recent")
	h.ok(h.DeleteBlob(h.t.Context(), app, h.push(app, "unlinked")))
	h.lose("orphan")
	h.collect() // sees the orphan
	h.age(long)
	_, _, err := h.StatBlob(h.t.Context(), oci.Caller{}, app, digest.FromString("recent"))
	h.ok(err)
}

func TestMoreThanTheGraceCanBeKept(t *testing.T) {
	h := newHouse(t)
	h.litter()
	for _, keep := range []time.Duration{48 * time.Hour, 1 << 62} {
		got, err := h.Collect(t.Context(), gc.Options{KeepYoungerThan: keep})
		h.ok(err)
		h.same(gc.Summary{}, got)
	}
	got, err := h.Collect(t.Context(), gc.Options{KeepYoungerThan: time.Second})
	h.ok(err)
	h.same(gc.Summary{Links: 3, Blobs: 2, Orphans: 1, Bytes: int64(len("idle" + "unlinked" + "orphan"))}, got)
	h.push(app, "a minute ago")
	got, err = h.Collect(t.Context(), gc.Options{KeepYoungerThan: time.Nanosecond})
	h.ok(err)
	h.same(gc.Summary{}, got)
}

func TestBytesThatNoRowLeadsToGoOnceTheyWereSeenForTheGrace(t *testing.T) {
	h := newHouse(t)
	key := h.lose("orphan")
	h.same([]gc.Item(nil), h.collect())
	h.age(aWhile)
	h.same([]gc.Item(nil), h.collect())
	h.age(long - aWhile)
	h.same([]gc.Item{{Kind: gc.Orphan, Key: key, Size: int64(len("orphan"))}}, h.collect())
	h.same(state{}, h.state())
}

func TestBytesThatBecameABlobInTheMeantimeStay(t *testing.T) {
	h := newHouse(t)
	h.lose("found")
	h.collect()
	h.age(long)
	d := h.push(app, "found")
	h.same([]gc.Item(nil), h.collect())
	h.ok(h.whole(app, d))
	// And their time begins anew when they are lost again.
	h.exec("DELETE FROM blob_links")
	h.exec("DELETE FROM blobs")
	h.same([]gc.Item(nil), h.collect())
}

func TestWhatAnOlderLarderWroteGetsAWholeGrace(t *testing.T) {
	h := newHouse(t)
	h.push(app, "a layer")
	h.ok(h.DeleteBlob(t.Context(), app, h.push(app, "unlinked")))
	h.exec("UPDATE blob_links SET used_at = NULL")
	h.exec("UPDATE blobs SET stored_at = NULL")
	h.same([]gc.Item(nil), h.preview())
	h.same([]gc.Item(nil), h.collect())
	h.age(aWhile)
	h.same([]gc.Item(nil), h.collect())
	h.age(long - aWhile)
	h.collect()
	h.same(1, len(h.state().Rows)) // its link dates it, not its row
	h.age(long)
	h.collect()
	h.same(state{}, h.state())
}

func TestBlobsThatAreToBeKeptStay(t *testing.T) {
	h := newHouse(t)
	d := h.push(app, "a probe's")
	h.ok(h.DeleteBlob(t.Context(), app, d))
	h.Keep = []digest.Digest{d}
	h.age(long)
	h.same([]gc.Item(nil), h.preview())
	h.same([]gc.Item(nil), h.collect())
	removed, err := h.Remove(t.Context(), h.row(d), time.Now())
	h.ok(err)
	h.same(false, removed)
}

func TestWhoeverHoldsTheLeaseKeepsTheCollectorWaiting(t *testing.T) {
	h := newHouse(t)
	h.litter()
	before := h.state()
	backup := metadata.Lease{Name: gc.Lease, Holder: "a backup"}
	h.ok(h.DB.Leases.Acquire(t.Context(), backup, time.Minute))
	if _, err := h.Collect(t.Context(), gc.Options{}); !errors.Is(err, gc.ErrBusy) {
		t.Errorf("got the error %v, want %v", err, gc.ErrBusy)
	}
	h.same(before, h.state())
	h.same(6, len(h.preview()))
	h.ok(h.DB.Leases.Release(t.Context(), backup.Name, backup.Holder))
	h.same(6, len(h.collect()))
}

func TestARunEndsWithWhoeverItTells(t *testing.T) {
	h := newHouse(t)
	h.litter()
	gone := errors.New("the client has gone")
	sum, err := h.Collect(t.Context(), gc.Options{Each: func(gc.Item) error { return gone }})
	if !errors.Is(err, gone) {
		t.Errorf("got the error %v", err)
	}
	h.same(gc.Summary{Links: 1}, sum)
	h.same(5, len(h.preview()))
}

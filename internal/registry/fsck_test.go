package registry_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	_ "modernc.org/sqlite"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// check runs a check and returns what it found, and how far it came.
func (h *house) check(c registry.Fsck) (found []registry.Finding, last registry.FsckEvent) {
	h.t.Helper()
	c.Tell = func(e registry.FsckEvent) error {
		if e.Finding != nil {
			found = append(found, *e.Finding)
		}
		last = e
		return nil
	}
	if err := h.Fsck(h.t.Context(), c); err != nil {
		h.t.Fatal(err)
	}
	if !last.Done {
		h.t.Error("the last event does not say that the check is done")
	}
	return found, last
}

func (h *house) finds(what string, want ...registry.Finding) {
	h.t.Helper()
	found, _ := h.check(registry.Fsck{})
	for i := range found {
		found[i].Advice = ""
		found[i].Reason = ""
	}
	if diff := cmp.Diff(want, found); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestACheckOfWhatIsGoodFindsNothingAndCountsIt(t *testing.T) {
	h := newHouse(t)
	h.tag(app, "latest", h.image(app, nil))
	found, last := h.check(registry.Fsck{})
	if len(found) > 0 {
		t.Errorf("found %v", found)
	}
	want := registry.FsckProgress{Blobs: 2, TotalBlobs: 2, Bytes: 102, TotalBytes: 102, Manifests: 1}
	if diff := cmp.Diff(want, last.Progress); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestACheckNamesADamagedPushedBlobUntilItIsPushedAgain(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			content := random(t, small)
			d := h.pushBlob(app, content)
			image := h.tag(app, "latest", h.image(app, withLayer(d, small)))
			h.pushBlob(other, content)
			if err := damage(h.file(d)); err != nil {
				t.Fatal(err)
			}
			want := registry.Finding{What: "blob", Digest: d, Repositories: []string{"demo/app", "demo/other"}, Tags: []string{"demo/app:latest"}}
			h.finds("at first", want)
			h.finds("at once again", want)
			h.pushBlob(app, content)
			h.finds("pushed again")
			h.pulls(other, content)
			if code := h.manifestCode(app, oci.Reference{Digest: image}); code != "" {
				t.Errorf("the image itself: %s", code)
			}
		})
	}
}

func TestACheckOfADamagedCachedBlobSaysThatItIsFetchedAnew(t *testing.T) {
	h := newHouse(t)
	if err := h.db.Projects.Create(t.Context(), metadata.Project{Name: "hub", Kind: metadata.Cache}); err != nil {
		t.Fatal(err)
	}
	d := h.pushBlob("hub/app", random(t, small))
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	h.finds("at first", registry.Finding{What: "blob", Digest: d, Repositories: []string{"hub/app"}})
	h.finds("forgotten")
}

func TestACheckGoesOnWhereTheLastOneWas(t *testing.T) {
	h := newHouse(t)
	for range 3 {
		h.pushBlob(app, random(t, small))
	}
	broken := errors.New("the client has gone")
	err := h.Fsck(t.Context(), registry.Fsck{Bandwidth: 1 << 30, Tell: func(e registry.FsckEvent) error {
		if e.Progress.Blobs == 3 {
			return broken
		}
		return nil
	}})
	if !errors.Is(err, broken) {
		t.Fatalf("the check ended with %v", err)
	}
	h.wait(time.Hour)
	_, last := h.check(registry.Fsck{OlderThan: 2 * time.Hour})
	if last.Progress.Blobs != 0 {
		t.Errorf("%d blobs are verified again", last.Progress.Blobs)
	}
	h.wait(2 * time.Hour)
	if _, last = h.check(registry.Fsck{OlderThan: 2 * time.Hour}); last.Progress.Blobs != 3 {
		t.Errorf("of 3 that are older %d are verified", last.Progress.Blobs)
	}
}

func TestACheckKeepsBelowItsBandwidth(t *testing.T) {
	h := newHouse(t)
	h.pushBlob(app, random(t, small))
	began := time.Now()
	h.check(registry.Fsck{Bandwidth: 50_000})
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("10,000 bytes at 50,000 a second took %s", took)
	}
}

func TestACheckThatCannotReadSaysSoAndSetsNothingAside(t *testing.T) {
	h := newHouse(t)
	content := random(t, small)
	d := h.pushBlob(app, content)
	w := watch(h)
	failure := error(syscall.EIO)
	w.fails.Store(&failure)
	h.finds("while the disk fails", registry.Finding{What: "blob", Digest: d})
	w.fails.Store(nil)
	h.finds("afterwards")
	h.pulls(app, content)
}

func TestACheckEndsWithItsContext(t *testing.T) {
	h := newHouse(t)
	h.pushBlob(app, random(t, small))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Fsck(ctx, registry.Fsck{Tell: func(registry.FsckEvent) error { return nil }}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// withLayer adds a layer to a manifest.
func withLayer(d digest.Digest, size int64) func(*v1.Manifest) {
	return func(m *v1.Manifest) {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d, Size: size})
	}
}

// indexOf is an index of one image.
func indexOf(t *testing.T, image digest.Digest) []byte {
	t.Helper()
	return marshal(t, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{{MediaType: v1.MediaTypeImageManifest, Digest: image, Size: 1}},
	})
}

// tamper changes the database behind Larder's back.
func (h *house) tamper(query string, args ...any) {
	h.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "metadata.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(h.t.Context(), query, args...); err != nil {
		h.t.Fatal(err)
	}
}

func TestACheckFindsBrokenLinks(t *testing.T) {
	var layer digest.Digest
	inApp := func(what string, d digest.Digest) registry.Finding {
		return registry.Finding{What: what, Digest: d, Repositories: []string{"demo/app"}, Tags: []string{"demo/app:latest"}}
	}
	for _, test := range []struct {
		name   string
		damage func(h *house, image digest.Digest)
		want   func(image digest.Digest) registry.Finding
	}{
		{
			"a link to a blob that is not stored",
			func(h *house, _ digest.Digest) { h.tamper("DELETE FROM blobs WHERE digest = ?", layer.String()) },
			func(digest.Digest) registry.Finding { return inApp("blob", layer) },
		},
		{
			"a manifest whose blob is not linked",
			func(h *house, _ digest.Digest) { h.tamper("DELETE FROM blob_links WHERE digest = ?", layer.String()) },
			func(image digest.Digest) registry.Finding { return inApp("manifest", image) },
		},
		{
			"a manifest with other bytes",
			func(h *house, image digest.Digest) {
				h.tamper("UPDATE manifests SET content = x'7b7d' WHERE digest = ?", image.String())
			},
			func(image digest.Digest) registry.Finding { return inApp("manifest", image) },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			layer = h.pushBlob(app, random(t, small))
			image := h.tag(app, "latest", h.image(app, withLayer(layer, small)))
			test.damage(h, image)
			h.finds("what it finds", test.want(image))
		})
	}
}

func TestACheckFindsAnIndexWithoutItsImage(t *testing.T) {
	h := newHouse(t)
	image := h.tag(app, "image", h.image(app, nil))
	index := h.tag(app, "index", indexOf(t, image))
	if err := h.DeleteManifest(t.Context(), app, image); err != nil {
		t.Fatal(err)
	}
	h.finds("what it finds", registry.Finding{What: "manifest", Digest: index, Repositories: []string{"demo/app"}, Tags: []string{"demo/app:index"}})
}

func TestAFileThatIsDeletedWithItsRowWhileACheckRunsIsNoFinding(t *testing.T) {
	h := newHouse(t)
	var all []digest.Digest
	for range 2 {
		all = append(all, h.pushBlob(app, random(t, small)))
	}
	slices.Sort(all)
	path := h.file(all[1])
	first := true
	err := h.Fsck(t.Context(), registry.Fsck{Tell: func(e registry.FsckEvent) error {
		if e.Finding != nil {
			t.Errorf("found %v", *e.Finding)
		}
		if first { // as the collector does
			first = false
			h.tamper("DELETE FROM blob_links WHERE digest = ?", all[1].String())
			h.tamper("DELETE FROM blobs WHERE digest = ?", all[1].String())
			return os.Remove(path)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

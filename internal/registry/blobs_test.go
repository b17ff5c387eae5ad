package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// file is where the files driver keeps a blob.
func (h *house) file(d digest.Digest) string {
	h.t.Helper()
	row, err := h.db.Blobs.Held(h.t.Context(), d)
	if err != nil {
		h.t.Fatal(err)
	}
	return filepath.Join(h.dir, "storage", "blobs", filepath.FromSlash(row.Key))
}

func TestABlobIsReadableOnlyWhereItIsLinked(t *testing.T) {
	h := newHouse(t)
	d := h.pushBlob(app, []byte("hello"))
	_, _, err := h.Blob(t.Context(), oci.Caller{}, other, d)
	expectCode(t, oci.CodeBlobUnknown, err)
	_, _, err = h.StatBlob(t.Context(), oci.Caller{}, other, d)
	expectCode(t, oci.CodeBlobUnknown, err)
	expectCode(t, oci.CodeBlobUnknown, h.MountBlob(t.Context(), app, other, digest.FromString("nowhere")))

	if err := h.MountBlob(t.Context(), other, app, d); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteBlob(t.Context(), app, d); err != nil {
		t.Fatal(err)
	}
	if got := h.readBlob(other, d); string(got) != "hello" {
		t.Errorf("got %q where it was mounted", got)
	}
	_, _, err = h.Blob(t.Context(), oci.Caller{}, app, d)
	expectCode(t, oci.CodeBlobUnknown, err)
}

func TestADamagedBlobIsNeverAnsweredInPart(t *testing.T) {
	damages := []struct {
		name   string
		damage func(path string) error
	}{
		{name: "missing", damage: os.Remove},
		{name: "short", damage: func(path string) error { return os.Truncate(path, 2) }},
		{name: "empty", damage: func(path string) error { return os.Truncate(path, 0) }},
	}
	for _, test := range damages {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			d := h.pushBlob(app, []byte("hello"))
			if err := test.damage(h.file(d)); err != nil {
				t.Fatal(err)
			}
			_, _, err := h.Blob(t.Context(), oci.Caller{}, app, d)
			expectCode(t, oci.CodeUnknown, err)
			if !errors.Is(err, registry.ErrDamaged) {
				t.Errorf("ErrDamaged is not in the chain of %v", err)
			}
			if _, err := h.db.Damaged.Get(t.Context(), app.String(), d); err != nil {
				t.Errorf("the damage is not named: %v", err)
			}

			_, _, err = h.StatBlob(t.Context(), oci.Caller{}, app, d)
			expectCode(t, oci.CodeBlobUnknown, err)
			h.pushBlob(app, []byte("hello"))
			if got := h.readBlob(app, d); string(got) != "hello" {
				t.Errorf("pushed again it reads %q", got)
			}
		})
	}
}

func TestTheProbeReadsAnImageBack(t *testing.T) {
	h := newHouse(t)
	for range 2 {
		if err := h.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := h.Repositories(t.Context(), "", 10); len(names) != 0 || err != nil {
		t.Errorf("the probe's image is in %v, %v", names, err)
	}
	if err := os.WriteFile(h.file(digest.FromString("{}")), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.Probe(t.Context()); !errors.Is(err, registry.ErrDamaged) {
		t.Errorf("changed bytes go unnoticed: %v", err)
	}
}

package gc_test

import (
	"context"
	"errors"
	"testing"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
)

var errBroken = errors.New("the disk is broken")

// broken is storage that fails where a test says so.
type broken struct {
	*blob.Files
	walk, remove bool
}

func (b *broken) Walk(ctx context.Context, fn func(blob.Entry) error) error {
	err := b.Files.Walk(ctx, fn)
	if err == nil && b.walk {
		return errBroken // as late as can be
	}
	return err
}

func (b *broken) Delete(ctx context.Context, key string) error {
	if b.remove {
		return errBroken
	}
	return b.Files.Delete(ctx, key)
}

func TestNothingIsRemovedWhereAnythingCannotBeRead(t *testing.T) {
	storage := &broken{}
	h := newHouseOn(t, func(files *blob.Files) blob.Store { storage.Files = files; return storage })
	h.litter()
	before := h.state()
	refused := func(name string) {
		t.Helper()
		if sum, err := h.Collect(t.Context(), gc.Options{}); err == nil || sum != (gc.Summary{}) {
			t.Errorf("%s: removed %+v, %v", name, sum, err)
		}
		if _, err := h.Preview(t.Context(), gc.Options{}); err == nil {
			t.Errorf("%s: the preview did not fail", name)
		}
	}
	for table, column := range map[string]string{
		"repositories": "name", "manifests": "content", "manifest_links": "media_type", "blob_links": "used_at",
		"blobs": "stored_at", "damaged_blobs": "storage_key", "multiparts": "storage_key", "orphans": "seen_at",
	} {
		h.exec("ALTER TABLE " + table + " RENAME COLUMN " + column + " TO unreadable")
		refused(table)
		h.exec("ALTER TABLE " + table + " RENAME COLUMN unreadable TO " + column)
	}
	storage.walk = true
	refused("storage")
	storage.walk = false
	h.same(before, h.state())
	h.same(6, len(h.collect()))
}

func TestBytesThatCouldNotBeDeletedAreFoundAgain(t *testing.T) {
	storage := &broken{remove: true}
	h := newHouseOn(t, func(files *blob.Files) blob.Store { storage.Files = files; return storage })
	d := h.push(app, "a layer")
	key := h.row(d).Key
	h.age(long)
	if _, err := h.Collect(t.Context(), gc.Options{}); !errors.Is(err, errBroken) {
		t.Errorf("got the error %v, want %v", err, errBroken)
	}
	storage.remove = false
	h.same([]gc.Item(nil), h.collect())
	h.age(long)
	h.same([]gc.Item{{Kind: gc.Orphan, Key: key, Size: int64(len("a layer"))}}, h.collect())
	h.same(state{}, h.state())
}

func TestNothingIsRemovedFromStorageThatIsNotOurs(t *testing.T) {
	h := newHouse(t)
	h.litter()
	before := h.state()
	h.Ours = func(context.Context) error { return gc.ErrForeign }
	if sum, err := h.Collect(t.Context(), gc.Options{}); !errors.Is(err, gc.ErrForeign) || sum != (gc.Summary{}) {
		t.Errorf("removed %+v, %v", sum, err)
	}
	h.same(before, h.state())
	h.Ours = func(context.Context) error { return nil }
	h.same(6, len(h.collect()))

	p := newPantry(t, gc.Limit{Bytes: layer})
	for i, tag := range []string{"1", "2", "3"} {
		p.pulled(web, p.image(web, tag, tag), 10+i)
	}
	p.evictor.Sweeper.Ours = func(context.Context) error { return gc.ErrForeign }
	if err := p.evictor.Check(t.Context()); !errors.Is(err, gc.ErrForeign) {
		t.Errorf("the eviction ended with %v", err)
	}
	p.left("hub/library/web:1", "hub/library/web:2", "hub/library/web:3")
}

package registry_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/tier"
	"github.com/larder-registry/larder/internal/registry"
)

// fronts are what may stand in front of storage that is far away.
var fronts = map[string]func(t *testing.T, beneath blob.Store) blob.Store{
	"nothing":                  func(_ *testing.T, beneath blob.Store) blob.Store { return beneath },
	"a tier that is too small": func(t *testing.T, beneath blob.Store) blob.Store { return tierOf(t, beneath, 1000) },
	"a tier that it fits into": func(t *testing.T, beneath blob.Store) blob.Store { return tierOf(t, beneath, 10*large) },
}

func tierOf(t *testing.T, beneath blob.Store, size int64) blob.Store {
	t.Helper()
	s, err := tier.Open(beneath, tier.Config{Dir: t.TempDir(), Size: size, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// farHouse has pushed a blob to storage that is far away, behind what stands in front.
func farHouse(t *testing.T, size int, front func(*testing.T, blob.Store) blob.Store) (*house, *watched, []byte) {
	t.Helper()
	h := newHouse(t)
	content := random(t, size)
	h.rest(h.pushBlob(app, content))
	w := &watched{Files: h.files, far: true}
	h.over(front(t, w))
	return h, w, content
}

func TestABlobThatIsFarIsVerifiedByItsOwnPull(t *testing.T) {
	for _, name := range []string{"nothing", "a tier that is too small"} {
		t.Run("behind "+name, func(t *testing.T) {
			h, w, content := farHouse(t, large, fronts[name])
			d := digest.FromBytes(content)
			if got := w.openings(func() { h.pulls(app, content) }); got != 1 {
				t.Errorf("a pull of the whole opens it %d times", got)
			}
			h.wait(2 * time.Hour)
			if got := w.openings(func() { _, _ = h.pull(app, d, 100) }); got != 1 {
				t.Errorf("once verified a pull of a part opens it %d times", got)
			}
			h.over(fronts[name](t, w)) // which remembers nothing
			if got := w.openings(func() { _, _ = h.pull(app, d, 100) }); got != 2 {
				t.Errorf("a pull of a part opens it %d times", got)
			}
			if got := w.openings(func() { _, _ = h.pull(app, d, 100) }); got != 1 {
				t.Errorf("the next pull of a part opens it %d times", got)
			}
		})
	}
}

func TestADamagedBlobThatIsFarIsSetAside(t *testing.T) {
	for name, front := range fronts {
		for _, size := range []int{small, large} {
			t.Run("behind "+name, func(t *testing.T) {
				h, _, content := farHouse(t, size, front)
				d := digest.FromBytes(content)
				if err := flip(h.file(d)); err != nil {
					t.Fatal(err)
				}
				if _, err := h.pull(app, d, 0); !errors.Is(err, registry.ErrDamaged) {
					t.Errorf("damaged it was pulled: %v", err)
				}
				h.isSetAside(d)
				h.pushBlob(app, content)
				h.pulls(app, content)
			})
		}
	}
}

func TestBytesThatWereChangedOnTheirWayAreNoDamage(t *testing.T) {
	for name, front := range fronts {
		for _, size := range []int{small, large} {
			t.Run("behind "+name, func(t *testing.T) {
				h, w, content := farHouse(t, size, front)
				changed := func(p []byte) { p[len(p)/2] ^= 1 }
				w.once.Store(&changed)
				if _, err := h.pull(app, digest.FromBytes(content), 0); !errors.Is(err, registry.ErrDamaged) {
					t.Errorf("changed it was pulled: %v", err)
				}
				if n, err := h.db.Damaged.Count(t.Context()); n != 0 || err != nil {
					t.Errorf("%d blobs are called damaged, %v", n, err)
				}
				h.pulls(app, content)
			})
		}
	}
}

// The second reading of a large blob from afar takes its time.
func TestABlobCanBePushedWhileItsDamageIsConfirmed(t *testing.T) {
	h, w, content := farHouse(t, large, fronts["nothing"])
	d := digest.FromBytes(content)
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	w.before = func() {
		if w.opened.Load() != 2 { // the first was for the pull
			return
		}
		if err := os.Remove(h.file(d)); err != nil { // storage that is far keeps nothing twice under one key
			t.Error(err)
		}
		pushed := make(chan error, 1)
		go func() { pushed <- h.PutBlob(t.Context(), app, d, bytes.NewReader(content)) }()
		select {
		case err := <-pushed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(replicaPatience):
			t.Error("the push waits for the second reading")
		}
	}
	if _, err := h.pull(app, d, 0); !errors.Is(err, registry.ErrDamaged) {
		t.Errorf("damaged it was pulled: %v", err)
	}
	h.pulls(app, content)
}

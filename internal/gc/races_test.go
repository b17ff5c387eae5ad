package gc_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/oci"
)

// races are what clients do with a blob that a collector is about to remove. Each
// returns the repository in which the blob must be whole after it, "" when the client
// was told that it is not there.
func races() map[string]func(h *house, text string) (oci.Repository, error) {
	unknown := func(err error) bool {
		code := oci.CodeOf(err)
		return code == oci.CodeBlobUnknown || code == oci.CodeManifestBlobUnknown
	}
	return map[string]func(h *house, text string) (oci.Repository, error){
		"a push of the same bytes": func(h *house, text string) (oci.Repository, error) {
			h.push(app, text)
			return app, nil
		},
		"a push of the same bytes elsewhere": func(h *house, text string) (oci.Repository, error) {
			h.push(other, text)
			return other, nil
		},
		"a mount": func(h *house, text string) (oci.Repository, error) {
			err := h.MountBlob(h.t.Context(), other, app, digest.FromString(text))
			if unknown(err) {
				return "", nil
			}
			return other, err
		},
		"a manifest that names it": func(h *house, text string) (oci.Repository, error) {
			err := h.tryManifest(app, image(digest.FromString(text)), "")
			if unknown(err) {
				return "", nil
			}
			return app, err
		},
		"HEAD, and then a manifest that names it": func(h *house, text string) (oci.Repository, error) {
			_, _, err := h.StatBlob(h.t.Context(), oci.Caller{}, app, digest.FromString(text))
			if unknown(err) {
				return "", nil
			}
			if err == nil {
				err = h.tryManifest(app, image(digest.FromString(text)), "") // no excuse any more
			}
			return app, err
		},
	}
}

// distribution/distribution#3178 and #3004 (row 25): garbage can be collected only while
// nobody pushes.
func TestWhateverClientsAreToldWhileACollectorRunsHolds(t *testing.T) {
	newHouse(t).races(3)
}

func TestWhateverClientsAreToldWhileACollectorRunsHoldsOnPostgreSQL(t *testing.T) {
	newHouseOnPostgreSQL(t).races(2)
}

func (h *house) races(rounds int) {
	h.t.Helper()
	const each = 12 // blobs for each kind of client
	for round := range rounds {
		var texts []string
		for name := range races() {
			for i := range each {
				texts = append(texts, fmt.Sprint(name, round, i))
				h.push(app, texts[len(texts)-1])
			}
		}
		h.age(long)
		h.race(texts)
	}
}

// race lets clients and a collector loose on old blobs of app.
func (h *house) race(texts []string) {
	h.t.Helper()
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		whole = map[digest.Digest]oci.Repository{}
	)
	work.Go(func() {
		if _, err := h.Collect(h.t.Context(), gc.Options{}); err != nil {
			h.t.Error(err)
		}
	})
	next := 0
	for name, act := range races() {
		mine := texts[next : next+len(texts)/len(races())]
		next += len(mine)
		work.Go(func() {
			for _, text := range mine {
				repo, err := act(h, text)
				if err != nil {
					h.t.Errorf("%s: %v", name, err)
				}
				mu.Lock()
				whole[digest.FromString(text)] = repo
				mu.Unlock()
			}
		})
	}
	work.Wait()
	for d, repo := range whole {
		if repo == "" {
			continue
		}
		if err := h.whole(repo, d); err != nil {
			h.t.Errorf("a blob that %s was told to have is not whole: %v", repo, err)
		}
	}
}

// The new bytes have the key of the old ones: removing those must not take them.
func TestABlobThatIsPushedWhileItIsRemovedStaysWhole(t *testing.T) {
	h := newHouse(t)
	for range 30 {
		row := h.row(h.push(app, "a layer"))
		h.ok(h.DeleteBlob(t.Context(), app, row.Digest))
		swept := make(chan error, 1)
		go func() {
			_, err := h.Remove(t.Context(), row, time.Now().Add(time.Hour))
			swept <- err
		}()
		h.push(app, "a layer")
		h.ok(<-swept)
		h.ok(h.whole(app, row.Digest))
	}
}

func TestTwoCollectorsDoNotRunAtOnce(t *testing.T) {
	h := newHouse(t)
	h.push(app, "a layer")
	h.age(long)
	removed, err := h.Collect(t.Context(), gc.Options{Each: func(gc.Item) error {
		if _, err := h.Collect(t.Context(), gc.Options{}); !errors.Is(err, gc.ErrBusy) {
			t.Errorf("a second collector was told %v, want %v", err, gc.ErrBusy)
		}
		return nil
	}})
	h.ok(err)
	h.same(gc.Summary{Links: 1, Blobs: 1, Bytes: int64(len("a layer"))}, removed)
}

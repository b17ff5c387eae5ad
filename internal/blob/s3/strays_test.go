package s3_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// notes is what metadata is to a store: its records.
type notes struct {
	mu    sync.Mutex
	noted map[string]note
	err   error // of every call
}

type note struct {
	id string
	at time.Time
}

func (n *notes) Note(_ context.Context, key, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.noted == nil {
		n.noted = map[string]note{}
	}
	if n.err == nil {
		n.noted[key] = note{id, time.Now()}
	}
	return n.err
}

func (n *notes) Forget(_ context.Context, key string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.noted, key)
	return n.err
}

func (n *notes) OlderThan(_ context.Context, before time.Time, after string, limit int) (map[string]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	page := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(n.noted)) {
		if key > after && n.noted[key].at.Before(before) && len(page) < limit {
			page[key] = n.noted[key].id
		}
	}
	return page, n.err
}

// left tells how many keys are noted.
func (n *notes) left() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.noted)
}

// later is after everything that a test has done, for services that round to seconds.
func later() time.Time { return time.Now().Add(2 * time.Second) }

// wantSwept sweeps what nobody has saved.
func wantSwept(t *testing.T, store *s3.Store, saved [][]byte, want int) {
	t.Helper()
	if got, err := store.SweepStrays(t.Context(), saved, later()); err != nil || got != want {
		t.Errorf("the sweep removed %d, %v; want %d", got, err, want)
	}
}

func TestWhatACrashHasLeftIsSweptAndWhatWasSavedIsNot(t *testing.T) {
	for _, in := range []service{versitygw, minIO} {
		t.Run(in.Name, func(t *testing.T) {
			t.Parallel()
			records := &notes{}
			c := in.config(t.TempDir())
			c.Records = records
			store := open(t, c)
			p := content(2*partSize + 1000)
			saved := save(t, upload(t, store, p))
			save(t, upload(t, store, p)) // its state is lost, as by a crash
			if _, err := store.SweepStrays(t.Context(), [][]byte{saved}, time.Now().Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
			if records.left() != 2 {
				t.Errorf("%d multipart uploads are noted after a sweep of those older than a minute, want 2", records.left())
			}
			wantSwept(t, store, [][]byte{saved}, 2)
			wantSwept(t, store, [][]byte{saved}, 0)
			key, err := resume(t, store, saved).Commit(t.Context(), digest.FromBytes(p))
			if err != nil {
				t.Fatalf("Commit of what was saved: %v", err)
			}
			wantSwept(t, store, nil, 0)
			wantBlob(t, store, key, p)
			if records.left() != 0 {
				t.Errorf("%d multipart uploads are noted at the end, want none", records.left())
			}
		})
	}
}

func TestAnUploadWhoseBeginningWasNeverAnsweredIsSwept(t *testing.T) {
	t.Parallel()
	for _, in := range []service{versitygw, minIO} {
		records := &notes{}
		c := in.config(t.TempDir())
		c.Records, c.Tries = records, 2
		p := throughProxy(t, &c)
		store := open(t, c)
		p.Fail(func(r *http.Request) s3test.Fault {
			if r.URL.Query().Has("uploads") {
				return s3test.LoseAnswer
			}
			return nil
		})
		data := content(2*partSize + 1)
		u, err := store.Create(t.Context(), digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		_, err = u.Write(data)
		_, failed := u.Commit(t.Context(), digest.FromBytes(data))
		if !errors.Is(errors.Join(err, failed), blob.ErrUnavailable) {
			t.Errorf("Write and Commit: %v, %v; want ErrUnavailable", err, failed)
		}
		p.Fail(nil)
		if err := u.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		begun := records.left()
		if begun < 2 {
			t.Fatalf("%d tries are noted, want at least 2", begun)
		}
		wantSwept(t, store, nil, begun)
		wantSwept(t, store, nil, 0)
	}
}

func TestAnUploadThatHasEndedIsForgotten(t *testing.T) {
	t.Parallel()
	records := &notes{}
	c := config(t.TempDir())
	c.Records = records
	store := open(t, c)
	put(t, store, content(partSize+1))
	if err := upload(t, store, content(2*partSize+1)).Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	if records.left() != 0 {
		t.Errorf("%d multipart uploads are noted, want none", records.left())
	}
	wantObjects(t, c, "blobs")
}

func TestASweepLeavesABlobWhoseUploadCouldNotBeForgotten(t *testing.T) {
	for _, in := range []service{versitygw, minIO} {
		t.Run(in.Name, func(t *testing.T) {
			t.Parallel()
			records := &forgetful{}
			c := in.config(t.TempDir())
			c.Records = records
			store := open(t, c)
			p := content(partSize + 1)
			key := put(t, store, p)
			if records.left() != 1 {
				t.Fatalf("%d multipart uploads are noted, want 1", records.left())
			}
			records.works = true
			wantSwept(t, store, nil, 0)
			wantBlob(t, store, key, p)
			if records.left() != 0 {
				t.Errorf("%d multipart uploads are noted after the sweep, want none", records.left())
			}
		})
	}
}

// forgetful is notes that do not forget until they work.
type forgetful struct {
	notes
	works bool
}

func (f *forgetful) Forget(ctx context.Context, key string) error {
	if !f.works {
		return errors.New("the database is busy")
	}
	return f.notes.Forget(ctx, key)
}

func TestNothingIsBegunThatCannotBeNoted(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	c.Records = &notes{err: errors.New("the database is gone")}
	store := open(t, c)
	p := content(partSize + 1)
	u, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	_, err = u.Write(p)
	_, failed := u.Commit(t.Context(), digest.FromBytes(p))
	if all := errors.Join(err, failed); all == nil || !strings.Contains(all.Error(), "the database is gone") {
		t.Errorf("Write and Commit: %v, want the error of the records", all)
	}
	wantObjects(t, c)
}

func TestASweepThatFailsRemovesNothingMore(t *testing.T) {
	t.Parallel()
	records := &notes{}
	c := config(t.TempDir())
	c.Records, c.Tries = records, 1
	p := throughProxy(t, &c)
	store := open(t, c)
	save(t, upload(t, store, content(2*partSize+1)))
	if _, err := store.SweepStrays(t.Context(), [][]byte{[]byte("no state")}, later()); err == nil {
		t.Error("a sweep goes on though it cannot read what was saved")
	}
	p.Fail(s3test.Always(s3test.Answer(http.StatusServiceUnavailable, "SlowDown")))
	if n, err := store.SweepStrays(t.Context(), nil, later()); !errors.Is(err, blob.ErrUnavailable) || n != 0 {
		t.Errorf("the sweep removed %d, %v; want ErrUnavailable", n, err)
	}
	p.Fail(nil)
	if records.left() != 1 {
		t.Errorf("%d are noted, want 1", records.left())
	}
	wantObjects(t, c, "uploads", "parts")
	wantSwept(t, store, nil, 2)
	wantObjects(t, c)
}

package s3_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

func TestEveryRequestMayFailOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  s3test.Fault
		stalls bool
		left   []string // in S3 at the end, until a sweep
	}{
		{"500", s3test.Answer(http.StatusInternalServerError, "InternalError"), false, nil},
		{"503 slow down", s3test.Answer(http.StatusServiceUnavailable, "SlowDown"), false, nil},
		{"the request is cut", s3test.CutRequest, false, nil},
		{"the answer is cut", s3test.CutAnswer, false, []string{"parts"}},
		// S3 has begun two multipart uploads, and only the second one's id is known.
		{"the answer is lost", s3test.LoseAnswer, false, []string{"parts"}},
		{"nothing is answered", s3test.Silence, true, nil},
		{"the answer stalls in its middle", s3test.StallAnswer, true, []string{"parts"}},
		{"200 with an error in the body", s3test.OKWithError, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config(t.TempDir())
			c.Stall = patience
			if tt.stalls {
				c.Stall = time.Second // it is waited for with each request
			}
			c.Records = &notes{}
			throughProxy(t, &c).Fail(s3test.FirstTries(tt.fault))
			store := open(t, c)
			live(t, store)
			left := slices.Compact(objects(t, c)) // a busy machine may have it begin once more
			if tt.stalls && len(left) > 0 {
				tt.left = []string{"parts"} // of what was answered too late
			}
			if diff := cmp.Diff(tt.left, left); diff != "" {
				t.Errorf("objects in S3 (-want +got):\n%s", diff)
			}
			if _, err := store.SweepStrays(t.Context(), nil, later()); err != nil {
				t.Errorf("the sweep: %v", err)
			}
			wantObjects(t, c)
		})
	}
}

// live keeps a blob of several parts over a restart, reads and deletes it.
func live(t *testing.T, store *s3.Store) {
	t.Helper()
	p := content(2*partSize + 1000)
	u := resume(t, store, save(t, upload(t, store, p[:partSize+1000])))
	if _, err := u.Write(p[partSize+1000:]); err != nil {
		t.Fatalf("Write: %v", err)
	}
	key, err := u.Commit(t.Context(), digest.FromBytes(p))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantBlob(t, store, key, p)
	var met []string
	err = store.Walk(t.Context(), func(e blob.Entry) error {
		met = append(met, e.Key)
		return nil
	})
	if diff := cmp.Diff([]string{key}, met); err != nil || diff != "" {
		t.Errorf("Walk: %v (-want +got):\n%s", err, diff)
	}
	if err := store.Delete(t.Context(), key); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := store.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat after Delete: error is %v, want ErrNotFound", err)
	}
}

// calls are all that reach S3, each with what it needs.
func calls(t *testing.T, store *s3.Store) map[string]func(context.Context) error {
	t.Helper()
	p := content(partSize + 1000)
	key := put(t, store, p)
	state := save(t, upload(t, store, p))
	opened, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	saved, committed := resume(t, store, state), resume(t, store, state)
	return map[string]func(context.Context) error{
		"Save": func(ctx context.Context) error { _, err := saved.Save(ctx); return err },
		"Commit": func(ctx context.Context) error {
			_, err := committed.Commit(ctx, digest.FromBytes(p))
			return err
		},
		"Resume": func(ctx context.Context) error { _, err := store.Resume(ctx, state); return err },
		"Stat":   func(ctx context.Context) error { _, err := store.Stat(ctx, key); return err },
		"Open":   func(ctx context.Context) error { _, err := store.Open(ctx, key); return err },
		"Delete": func(ctx context.Context) error { return store.Delete(ctx, key) },
		"Walk":   func(ctx context.Context) error { return store.Walk(ctx, func(blob.Entry) error { return nil }) },
	}
}

// each makes all the calls at once.
func each(t *testing.T, calls map[string]func(context.Context) error, check func(name string, call func(context.Context) error)) {
	t.Helper()
	var running sync.WaitGroup
	for name, call := range calls {
		running.Go(func() { check(name, call) })
	}
	running.Wait()
}

// patience is longer than a busy machine keeps a request waiting that is answered.
const patience = 3 * time.Second

func TestS3ThatStaysDownIsAnErrorAndNotAMissingBlob(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault s3test.Fault
		want  error
	}{
		{"500", s3test.Answer(http.StatusInternalServerError, "InternalError"), blob.ErrUnavailable},
		{"503 slow down", s3test.Answer(http.StatusServiceUnavailable, "SlowDown"), blob.ErrUnavailable},
		{"403", s3test.Answer(http.StatusForbidden, "AccessDenied"), blob.ErrUnavailable},
		{"no bucket", s3test.Answer(http.StatusNotFound, "NoSuchBucket"), blob.ErrUnavailable},
		{"nothing is answered", s3test.Silence, blob.ErrUnavailable},
		{"the connection is closed", s3test.HangUp, blob.ErrUnavailable},
		{"507", s3test.Answer(http.StatusInsufficientStorage, "XMinioStorageFull"), syscall.ENOSPC},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config(t.TempDir())
			c.Stall, c.Tries = patience, 2
			p := throughProxy(t, &c)
			all := calls(t, open(t, c))
			p.Fail(s3test.Always(tt.fault))
			each(t, all, func(name string, call func(context.Context) error) {
				if err := call(t.Context()); !errors.Is(err, tt.want) || errors.Is(err, blob.ErrNotFound) {
					t.Errorf("%s: error is %v, want %v", name, err, tt.want)
				}
			})
		})
	}
}

func TestAContextEndsEveryCall(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	all := calls(t, open(t, c))
	p.Fail(s3test.Always(s3test.Silence))
	each(t, all, func(name string, call func(context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error is %v, want that of the context", name, err)
		}
	})
}

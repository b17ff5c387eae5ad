package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

func TestAPartThatIsDamagedOnItsWayIsRefused(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	store := open(t, c)
	p.Fail(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.FlipSent
		}
		return nil
	})
	for _, size := range []int{1000, 2*partSize + 1} {
		u, err := store.Create(t.Context(), digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		data := content(size)
		_, err = u.Write(data)
		if key, committed := u.Commit(t.Context(), digest.FromBytes(data)); committed == nil {
			t.Errorf("%d damaged bytes are kept under %s (Write: %v)", size, key, err)
		}
		if err := u.Cancel(t.Context()); err != nil {
			t.Errorf("Cancel: %v", err)
		}
	}
	wantObjects(t, c)
}

func TestAnUploadWhoseRequestHasEndedIsSaved(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	store := open(t, c)
	p.Fail(func(r *http.Request) s3test.Fault {
		if r.URL.Query().Has("partNumber") {
			return s3test.Silence
		}
		return nil
	})
	data := content(partSize + 1000)
	request, end := context.WithCancel(t.Context())
	u, err := store.Create(request, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(data); err != nil {
		t.Fatal(err)
	}
	end()
	p.Fail(nil)
	state := save(t, u)
	if got := resume(t, store, state).Size(); got != int64(len(data)) {
		t.Errorf("%d bytes were saved, want %d", got, len(data))
	}
	key, err := resume(t, store, state).Commit(t.Context(), digest.FromBytes(data))
	if err != nil {
		t.Fatal(err)
	}
	wantBlob(t, store, key, data)
}

func TestASpoolsWriterDoesNotWaitForS3(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	store := open(t, c)
	p.Fail(s3test.Always(s3test.Silence))
	spooling, end := context.WithCancel(t.Context())
	spool, err := store.Spool(spooling, digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	data := content(3*partSize + 1)
	if _, err := spool.Write(data); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(io.NewSectionReader(spool, 0, int64(len(data)))); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the spool reads as %d bytes, %v", len(got), err)
	}
	end() // the transfer is over, and nothing of it has reached S3
	p.Fail(nil)
	key, err := spool.Commit(t.Context(), digest.FromBytes(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := spool.Close(); err != nil {
		t.Error(err)
	}
	wantBlob(t, store, key, data)
}

func TestASpoolThatIsHeldSendsNothingUntilItIsWanted(t *testing.T) {
	t.Parallel()
	wanted := map[string]func(t *testing.T, spool blob.Spool, sent chan struct{}){
		"by a commit": func(*testing.T, blob.Spool, chan struct{}) {},
		"by its writer": func(_ *testing.T, spool blob.Spool, sent chan struct{}) {
			spool.(interface{ Hold(held bool) }).Hold(false)
			<-sent
		},
	}
	for name, want := range wanted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t.TempDir())
			p := throughProxy(t, &c)
			store := open(t, c)
			sent := make(chan struct{}, 100)
			p.Fail(func(*http.Request) s3test.Fault { sent <- struct{}{}; return nil })
			spool, err := store.Spool(t.Context(), digest.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			spool.(interface{ Hold(held bool) }).Hold(true)
			data := content(3*partSize + 1)
			if _, err := spool.Write(data); err != nil {
				t.Fatal(err)
			}
			if len(sent) > 0 {
				t.Errorf("%d requests were sent while it was held", len(sent))
			}
			want(t, spool, sent)
			key, err := spool.Commit(t.Context(), digest.FromBytes(data))
			if err != nil {
				t.Fatal(err)
			}
			if err := spool.Close(); err != nil {
				t.Error(err)
			}
			wantBlob(t, store, key, data)
		})
	}
}

func TestACommitThatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	again := map[string]func(*testing.T, blob.Store, blob.Upload) blob.Upload{
		"at once":      func(_ *testing.T, _ blob.Store, u blob.Upload) blob.Upload { return u },
		"after a save": func(t *testing.T, s blob.Store, u blob.Upload) blob.Upload { return resume(t, s, save(t, u)) },
		"after more came": func(t *testing.T, s blob.Store, u blob.Upload) blob.Upload {
			u = resume(t, s, save(t, u))
			if _, err := u.Write(content(partSize)); err != nil {
				t.Fatal(err)
			}
			return u
		},
	}
	for name, retry := range again {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1000, partSize + 1000} {
				commitFailsOnce(t, size, retry)
			}
		})
	}
}

// commitFailsOnce has the last request of a commit refused, retries, and expects
// the blob and nothing else.
func commitFailsOnce(t *testing.T, size int, retry func(*testing.T, blob.Store, blob.Upload) blob.Upload) {
	t.Helper()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	store := open(t, c)
	data := content(size)
	u := upload(t, store, data)
	p.Fail(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") || r.Method == http.MethodPut && r.URL.RawQuery == "" {
			return s3test.Answer(http.StatusForbidden, "AccessDenied")
		}
		return nil
	})
	if _, err := u.Commit(t.Context(), digest.FromBytes(data)); err == nil {
		t.Fatal("Commit succeeds though S3 refuses")
	}
	p.Fail(nil)
	u = retry(t, store, u)
	data = append(data, content(partSize)[:u.Size()-int64(size)]...)
	key, err := u.Commit(t.Context(), digest.FromBytes(data))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantBlob(t, store, key, data)
	wantObjects(t, c, "blobs")
}

// Both have resumed the upload from one state, as when a replica was thought dead.
func TestWhoGivesAnUploadUpLeavesTheBlobThatAnotherHasCommitted(t *testing.T) {
	c := config(t.TempDir())
	proxy := throughProxy(t, &c)
	c.Tries = 1
	store := open(t, c)
	p := content(partSize)
	state := save(t, upload(t, store, p))
	first, second := resume(t, store, state), resume(t, store, state)
	key, err := first.Commit(t.Context(), digest.FromBytes(p))
	if err != nil {
		t.Fatal(err)
	}
	proxy.Fail(s3test.Always(s3test.HangUp)) // the second cannot find out how it went
	if _, err := second.Commit(t.Context(), digest.FromBytes(p)); err == nil {
		t.Error("the second commit succeeded, which shows nothing")
	}
	proxy.Fail(nil)
	if err := second.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	wantBlob(t, store, key, p)
}

// Both have resumed the upload from one state. What came then is as long for both, and
// the first commits while the second is about to.
func TestWhoCommitsPartsThatAnotherHasCommittedIsNeverGivenTheOthersBytes(t *testing.T) {
	p := content(partSize + 1)
	other := append(bytes.Clone(p[:partSize]), p[partSize]^1)
	for name, tt := range map[string]struct {
		sent []byte
		want error
	}{
		"the same bytes": {p, nil},
		"other bytes":    {other, blob.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir())
			proxy := throughProxy(t, &c)
			store := open(t, c)
			state := save(t, upload(t, store, p[:partSize]))
			first, second := resume(t, store, state), resume(t, store, state)
			for u, sent := range map[blob.Upload][]byte{first: p, second: tt.sent} {
				if _, err := u.Write(sent[partSize:]); err != nil {
					t.Fatal(err)
				}
			}
			var key string
			overtake := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				var err error
				if key, err = first.Commit(t.Context(), digest.FromBytes(p)); err != nil {
					t.Errorf("the first commit: %v", err)
				}
				next.ServeHTTP(w, r)
			}
			proxy.Fail(s3test.First(1, overtake, func(r *http.Request) bool {
				return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
			}))
			again, err := second.Commit(t.Context(), digest.FromBytes(tt.sent))
			if !errors.Is(err, tt.want) || err == nil && again != key {
				t.Errorf("the second commit: key %q, %v, want %v", again, err, tt.want)
			}
			wantBlob(t, store, key, p)
		})
	}
}

package s3_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/blobtest"
	"github.com/larder-registry/larder/internal/blob/s3"
)

func TestS3PassesTheSuite(t *testing.T) {
	for _, in := range []*service{&versitygw, &minIO} {
		t.Run(in.Name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T, dir string) blob.Store { return open(t, in.config(dir)) })
		})
	}
}

func TestNothingStaysInS3ButTheBlob(t *testing.T) {
	tests := []struct {
		name string
		size int
	}{
		{"a blob that was whole in the first request", 1000},
		{"a blob of several parts", 2*partSize + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t.TempDir())
			store := open(t, c)
			p := content(tt.size)
			u := upload(t, store, p[:tt.size/2])
			for _, part := range [][]byte{p[tt.size/2 : tt.size-1], p[tt.size-1:]} {
				u = resume(t, store, save(t, u))
				if _, err := u.Write(part); err != nil {
					t.Fatalf("Write: %v", err)
				}
			}
			if _, err := u.Commit(t.Context(), digest.FromBytes(p)); err != nil {
				t.Fatalf("Commit: %v", err)
			}
			wantObjects(t, c, "blobs")
		})
	}
}

func TestNothingStaysInS3AfterACancel(t *testing.T) {
	c := config(t.TempDir())
	store := open(t, c)
	u := upload(t, store, content(2*partSize+1))
	state := save(t, u)
	wantObjects(t, c, "uploads", "parts")
	again := resume(t, store, state)
	if _, err := again.Write(content(partSize)); err != nil {
		t.Fatalf("Write: %v", err)
	}
	state = save(t, again)
	wantObjects(t, c, "uploads", "uploads", "parts")
	if err := resume(t, store, state).Cancel(t.Context()); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	wantObjects(t, c)
}

func TestAnUploadWhosePartsAreGoneIsNotFoundAndRemoved(t *testing.T) {
	c := config(t.TempDir())
	store := open(t, c)
	state := save(t, upload(t, store, content(2*partSize+1)))
	if err := versitygw.Client.RemoveIncompleteUpload(t.Context(), bucket, incomplete(t, c)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Resume(t.Context(), state); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("error is %v, want ErrNotFound", err)
	}
	wantObjects(t, c)
}

// incomplete is the key of the one multipart upload.
func incomplete(t *testing.T, c s3.Config) string {
	t.Helper()
	var key string
	for upload := range versitygw.Client.ListIncompleteUploads(t.Context(), bucket, c.Prefix+"/", true) {
		if upload.Err != nil || key != "" {
			t.Fatalf("a second multipart upload, or an error: %v", upload.Err)
		}
		key = upload.Key
	}
	return key
}

func TestAnOldStateCannotReplaceACommittedBlob(t *testing.T) {
	c := config(t.TempDir())
	store := open(t, c)
	old := save(t, upload(t, store, []byte("begun ")))
	first, second := resume(t, store, old), resume(t, store, old)
	for u, text := range map[blob.Upload]string{first: "and ended", second: "otherwise"} {
		if _, err := io.WriteString(u, text); err != nil {
			t.Fatal(err)
		}
	}
	key, err := first.Commit(t.Context(), digest.FromString("begun and ended"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Commit(t.Context(), digest.FromString("begun otherwise")); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, store, key, []byte("begun and ended"))
}

func TestAHashStateInAnUnknownFormIsMadeUpForByReadingBack(t *testing.T) {
	for _, size := range []int{1000, 2*partSize + 1} {
		c := config(t.TempDir())
		store := open(t, c)
		p := content(size)
		for _, text := range [][]byte{[]byte("something else"), p} {
			state := withoutHash(t, save(t, upload(t, store, p[:size/2])))
			u := resume(t, store, state)
			if _, err := u.Write(p[size/2:]); err != nil {
				t.Fatal(err)
			}
			key, err := resume(t, store, save(t, u)).Commit(t.Context(), digest.FromBytes(text))
			if bytes.Equal(text, p) {
				if err != nil {
					t.Fatalf("Commit of %d bytes: %v", size, err)
				}
				wantBlob(t, store, key, p)
				continue
			}
			if _, ok := errors.AsType[*blob.MismatchError](err); !ok {
				t.Errorf("error is %v, want a *MismatchError", err)
			}
			wantObjects(t, c)
		}
	}
}

// withoutHash replaces the state of the hash by another release's.
func withoutHash(t *testing.T, state []byte) []byte {
	t.Helper()
	fields := map[string]any{}
	if err := json.Unmarshal(state, &fields); err != nil || fields["hash"] == nil {
		t.Fatalf("the state holds no hash: %s, %v", state, err)
	}
	fields["hash"] = "b3RoZXI="
	changed, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestTheSpoolFolderHoldsNoNamesThatACrashWouldLeave(t *testing.T) {
	c := config(t.TempDir())
	store := open(t, c)
	u := upload(t, store, content(1000))
	spool, err := store.Spool(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(c.SpoolDir, "*")); err != nil || len(names) != 0 {
		t.Errorf("names: %v, %v", names, err)
	}
	if err := errors.Join(u.Cancel(t.Context()), spool.Close()); err != nil {
		t.Error(err)
	}
}

func TestAWalkGoesOnBeyondTheFirstThousandAndPassesOverWhatIsNotOurs(t *testing.T) {
	c := config(t.TempDir())
	store := open(t, c)
	var want []string
	for range 1001 {
		want = append(want, rand.Text())
	}
	for _, name := range append([]string{"notes.txt", "folder/" + rand.Text()}, want...) {
		key := c.Prefix + "/blobs/" + name
		if _, err := versitygw.Client.PutObject(t.Context(), bucket, key, nil, 0, minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := store.Walk(t.Context(), func(e blob.Entry) error {
		got = append(got, e.Key)
		return nil
	})
	slices.Sort(want)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Walk: %v (-want +got):\n%s", err, diff)
	}
}

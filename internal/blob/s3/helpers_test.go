package s3_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

const (
	partSize  = 5 << 20
	bucket    = s3test.Bucket
	secretKey = s3test.SecretKey
)

// config is that of the store which belongs to dir, in versitygw.
func config(dir string) s3.Config { return versitygw.config(dir) }

func (s *service) config(dir string) s3.Config {
	sum := sha256.Sum256([]byte(dir))
	return s3.Config{
		Endpoint: s.Endpoint, Bucket: bucket, Prefix: "tests/" + hex.EncodeToString(sum[:8]), Region: s3test.Region,
		PathStyle: true, AccessKey: s3test.AccessKey, SecretKey: secretKey,
		SpoolDir: filepath.Join(dir, "spool"), PartSize: partSize,
	}
}

func open(t *testing.T, c s3.Config) *s3.Store {
	t.Helper()
	store, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// content makes size bytes.
func content(size int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	p := make([]byte, size)
	_, _ = random.Read(p) // never fails
	return p
}

// upload writes a blob of which nothing is committed yet.
func upload(t *testing.T, store blob.Store, p []byte) blob.Upload {
	t.Helper()
	u, err := store.Create(t.Context(), digest.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(p); err != nil {
		t.Fatalf("Write: %v", err)
	}
	return u
}

// put keeps a blob and returns its key.
func put(t *testing.T, store blob.Store, p []byte) string {
	t.Helper()
	key, err := upload(t, store, p).Commit(t.Context(), digest.FromBytes(p))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return key
}

func wantBlob(t *testing.T, store blob.Store, key string, want []byte) {
	t.Helper()
	f, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer func() { _ = f.Close() }()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want the %d bytes written", len(got), err, len(want))
	}
}

func save(t *testing.T, u blob.Upload) []byte {
	t.Helper()
	state, err := u.Save(t.Context())
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return state
}

func resume(t *testing.T, store blob.Store, state []byte) blob.Upload {
	t.Helper()
	u, err := store.Resume(t.Context(), state)
	if err != nil {
		t.Fatalf("Resume: %v", err)
	}
	return u
}

// objects lists what the store has in S3, each by its folder below the prefix;
// "parts" is a multipart upload.
func objects(t *testing.T, c s3.Config) []string {
	t.Helper()
	prefix := c.Prefix + "/"
	var found []string
	for object := range versitygw.Client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			t.Fatal(object.Err)
		}
		found = append(found, strings.Split(strings.TrimPrefix(object.Key, prefix), "/")[0])
	}
	for upload := range versitygw.Client.ListIncompleteUploads(t.Context(), bucket, prefix, true) {
		if upload.Err != nil {
			t.Fatal(upload.Err)
		}
		found = append(found, "parts")
	}
	return found
}

func wantObjects(t *testing.T, c s3.Config, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, objects(t, c)); diff != "" {
		t.Errorf("objects in S3 (-want +got):\n%s", diff)
	}
}

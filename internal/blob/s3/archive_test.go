package s3_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/s3"
)

func TestAnArchiveKeepsBlobsUnderTheirDigests(t *testing.T) {
	for _, s := range []*service{&versitygw, &minIO} {
		for name, size := range map[string]int{"an empty blob": 0, "a small blob": 5, "a blob of several parts": 33 << 20} {
			t.Run(s.Name+" keeps "+name, func(t *testing.T) { keepsUnderItsDigest(t, s, content(size)) })
		}
	}
}

func keepsUnderItsDigest(t *testing.T, s *service, want []byte) {
	t.Helper()
	c := s.config(t.TempDir())
	archive := openArchive(t, c)
	d := digest.FromBytes(want)
	wantHeld(t, archive, d, len(want), false)
	if _, err := archive.Open(t.Context(), d); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
	if err := archive.Put(t.Context(), d, int64(len(want)), bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, archive, d, len(want), true)
	wantHeld(t, archive, d, len(want)+1, false)
	r, err := archive.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
	key := c.Prefix + "/sha256/" + d.Encoded()[:2] + "/" + d.Encoded()
	if _, err := s.Client.StatObject(t.Context(), bucket, key, minio.StatObjectOptions{}); err != nil {
		t.Errorf("there is no object %s: %v", key, err)
	}
}

func TestAnArchiveKeepsNothingOfWhatFailed(t *testing.T) {
	for name, size := range map[string]int{"a small blob": 5, "a blob of several parts": 33 << 20} {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir())
			archive := openArchive(t, c)
			p := content(size)
			wrong := &blob.MismatchError{Want: "a", Got: "b"}
			failing := io.MultiReader(bytes.NewReader(p[:size-1]), iotest.ErrReader(wrong))
			err := archive.Put(t.Context(), digest.FromBytes(p), int64(size), failing)
			if got, ok := errors.AsType[*blob.MismatchError](err); !ok || got != wrong {
				t.Errorf("the error does not say why: %v", err)
			}
			if diff := cmp.Diff([]string(nil), objects(t, c)); diff != "" {
				t.Errorf("left in S3 (-want +got):\n%s", diff)
			}
		})
	}
}

func openArchive(t *testing.T, c s3.Config) *s3.Archive {
	t.Helper()
	archive, err := s3.OpenArchive(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func wantHeld(t *testing.T, archive *s3.Archive, d digest.Digest, size int, want bool) {
	t.Helper()
	held, err := archive.Holds(t.Context(), d, int64(size))
	if err != nil {
		t.Fatal(err)
	}
	if held != want {
		t.Errorf("a blob of %d bytes is held: %t", size, held)
	}
}

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// underStorage are the settings and sizes with which a blob takes another way from its
// storage to a client.
var underStorage = []struct {
	name, settings string
	size           int
}{
	{"a small one", "&hot=0", 10_000},
	{"a large one", "&hot=0", 2*smallestPart + 1000},
	{"a small one with room for it on the disk", "&hot=100MiB", 10_000},
	{"a large one with room for it on the disk", "&hot=100MiB", 2*smallestPart + 1000},
	{"a large one without room for it on the disk", "&hot=1MiB", 2*smallestPart + 1000},
}

// wantBroken expects a pull that its client notices to have failed.
func (s *stored) wantBroken(p []byte) {
	s.t.Helper()
	s.client.CloseIdleConnections() // on a used connection the client itself asks again
	got, err := s.try(s.t.Context(), request{path: blobPath(p), admin: true})
	if err == nil && got.err == nil && got.status == http.StatusOK {
		s.t.Fatalf("a complete answer of %d bytes, of digest %s", len(got.body), digest.FromBytes(got.body))
	}
}

func TestWrongBytesOnTheWayFromStorageAreNoAnswerAndNoDamage(t *testing.T) {
	for _, tt := range underStorage {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStored(t, tt.settings)
			p := content(1, tt.size)
			s.wantPushed(p)
			s.proxy.Fail(s3test.First(1, s3test.FlipAnswer, s3test.ReadsBlob))
			s.wantBroken(p)
			s.pullBlob(p).is(t, digest.FromBytes(p))
			if log := s.log.String(); strings.Contains(log, "was set aside") || !strings.Contains(log, "read wrong once and right the second time") {
				t.Errorf("the log does not tell it from damage:\n%s", log)
			}
		})
	}
}

// key is the object of the only blob of that size.
func (s *stored) key(size int) string {
	s.t.Helper()
	for object := range s.service.Client.ListObjectsIter(s.t.Context(), s3test.Bucket, minio.ListObjectsOptions{Prefix: "images/blobs/", Recursive: true}) {
		if object.Err != nil {
			s.t.Fatal(object.Err)
		}
		if object.Size == int64(size) {
			return object.Key
		}
	}
	s.t.Fatalf("no object has %d bytes", size)
	return ""
}

func TestAnObjectThatRottedInStorageIsSetAsideAndNamed(t *testing.T) {
	for _, tt := range underStorage {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStored(t, tt.settings)
			p := content(1, tt.size)
			d := digest.FromBytes(p)
			s.wantPushed(p)
			if err := s.service.Rot(s.key(tt.size)); err != nil {
				t.Fatal(err)
			}
			s.wantBroken(p)
			s.eventually("it is set aside", func() bool { return strings.Contains(s.log.String(), "a damaged blob was set aside") })
			if !strings.Contains(s.log.String(), d.String()) {
				t.Errorf("the log does not name it:\n%s", s.log.String())
			}
			if got := s.pullBlob(p); got.status != 500 || !strings.Contains(string(got.body), "is damaged in this registry's storage: push the image again") {
				t.Errorf("the next pull got %d: %s", got.status, got.body)
			}
			if got := s.send(request{method: http.MethodHead, path: blobPath(p), admin: true}); got.status != 404 {
				t.Errorf("a HEAD got %d, so that nobody pushes it again", got.status)
			}
			s.wantPushed(p)
			s.pullBlob(p).is(t, d)
		})
	}
}

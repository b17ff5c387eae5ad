package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/backup"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// wantForeign expects a start to be refused because the storage is another database's.
func (s *stored) wantForeign(ids ...string) {
	s.t.Helper()
	config := s.load()
	_, err := server.New(s.t.Context(), config, server.Options{AdminPassword: adminPassword, Notices: io.Discard, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.t.Fatal("it starts on the storage of another database")
	}
	for _, text := range append(ids, "Give this one a prefix of its own", "--take-over") {
		if !strings.Contains(err.Error(), text) {
			s.t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// databaseID is that of a data folder's database, which no server uses.
func databaseID(t *testing.T, data string) string {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(data, "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := db.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *stored) dump() *backup.Dump {
	s.t.Helper()
	db, err := metadata.Open(s.t.Context(), filepath.Join(s.data, "metadata.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	dump, err := backup.WriteDump(filepath.Join(s.t.TempDir(), "metadata.dump"), func(w io.Writer) error {
		_, err := db.Dump(s.t.Context(), w)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return dump
}

func TestTwoDatabasesDoNotHaveOnePrefix(t *testing.T) {
	s := newStored(t, "&hot=0")
	p := content(1, 10_000)
	s.wantPushed(p)
	s.stop()
	first, id := s.data, databaseID(t, s.data)
	dump := s.dump()

	s.data = t.TempDir()
	s.wantForeign(id)
	s.data = t.TempDir()
	_, err := server.Restore(t.Context(), s.load(), dump, nil, false, noProgress)
	if err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("it is restored onto the storage of another database: %v", err)
	}
	s.data = t.TempDir()
	if restored, err := server.Restore(t.Context(), s.load(), dump, nil, true, noProgress); err != nil || restored.Held != 1 {
		t.Fatalf("it is not restored: %+v, %v", restored, err)
	}
	s.start()
	s.pullBlob(p).is(t, digest.FromBytes(p))
	s.stop()
	taken := databaseID(t, s.data)
	s.data = first
	s.wantForeign(id, taken)
}

// wantPruned has the collector run, and expects its answer.
func (s *stored) wantPruned(status int, texts ...string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.larder.Addr().String()+"/api/v1/prune", strings.NewReader(`{"confirm":true}`))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		s.t.Errorf("a collection got %d, %v, want %d", resp.StatusCode, err, status)
	}
	for _, text := range texts {
		if !strings.Contains(string(said), text) {
			s.t.Errorf("a collection does not say %q: %s", text, said)
		}
	}
}

func noProgress(string, int) func() { return func() {} }

func TestNothingIsCollectedFromStorageThatWasTakenOver(t *testing.T) {
	s := newStored(t, "&hot=0")
	p := content(1, 10_000)
	s.wantPushed(p)
	s.wantPruned(http.StatusOK, "summary")
	owner := []byte("another")
	_, err := s.service.Client.PutObject(t.Context(), s3test.Bucket, "images/owner", bytes.NewReader(owner), int64(len(owner)), minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.wantPruned(http.StatusConflict, "nothing was removed", "another", "--take-over")
	s.pullBlob(p).is(t, digest.FromBytes(p))
	s.stop()
	s.wantForeign("another")
	if err := s.service.Client.RemoveObject(t.Context(), s3test.Bucket, "images/owner", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.pullBlob(p).is(t, digest.FromBytes(p))
}

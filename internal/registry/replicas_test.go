package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// replicaPatience bounds the waits of these tests, on a machine that is busy.
const replicaPatience = 30 * time.Second

// replicas are two registries on one PostgreSQL and one storage, each as in a process
// of its own.
func replicas(t *testing.T) (a, b *house) {
	t.Helper()
	server := metadatatest.NewPostgreSQL(t)
	databaseURL, storage := server.Database(t), filepath.Join(t.TempDir(), "storage")
	a, b = replica(t, databaseURL, storage), replica(t, databaseURL, storage)
	if err := a.EnsureProject(t.Context(), "demo", "alice"); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func replica(t *testing.T, databaseURL, storage string) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	db, err := metadata.OpenPostgres(t.Context(), databaseURL, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		db.Watch(ctx, nil, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { stop(); <-ended })
	files, err := blob.OpenFiles(storage)
	if err != nil {
		t.Fatal(err)
	}
	h.db = db
	h.Registry = registry.New(registry.Config{DB: db, Blobs: files, Now: h.clock, Log: slog.New(slog.DiscardHandler)})
	return h
}

// eventually waits until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(replicaPatience)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("within %s it does not come true that %s", replicaPatience, what)
		}
	}
}

func TestReplicas(t *testing.T) {
	a, b := replicas(t)
	t.Run("what one was pushed the other serves, until it is deleted", func(t *testing.T) {
		latest := oci.Reference{Tag: "latest"}
		d := a.tag(app, "latest", a.image(app, nil))
		eventually(t, "the manifest is kept in memory", func() bool {
			mark := b.db.Changes.Repository(string(app))
			return b.manifestCode(app, latest) == "" && b.db.Changes.Repository(string(app)) == mark
		})
		if err := a.DeleteTag(t.Context(), app, "latest"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the tag is gone", func() bool { return b.manifestCode(app, latest) == oci.CodeManifestUnknown })
		if err := b.DeleteManifest(t.Context(), app, d); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the manifest is gone", func() bool {
			return a.manifestCode(app, oci.Reference{Digest: d}) == oci.CodeManifestUnknown
		})
	})
	t.Run("an upload begun on one goes on and ends on the other", func(t *testing.T) {
		id := a.start(digest.SHA256)
		a.append(id, []byte("first "))
		b.append(id, []byte("second "))
		d := digest.FromString("first second third")
		if err := a.FinishUpload(t.Context(), app, id, d, nil, strings.NewReader("third")); err != nil {
			t.Fatal(err)
		}
		if got := string(b.readBlob(app, d)); got != "first second third" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("they do not write one upload at once", func(t *testing.T) {
		err := contend(t, a, b)
		for tries := 1; tries < 5 && stoodStill(err); tries++ {
			err = contend(t, a, b)
		}
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("an upload whose replica was killed is free after moments", func(t *testing.T) {
		id := a.start(digest.SHA256)
		a.append(id, []byte("first "))
		// What a killed process leaves is a lease that nobody renews.
		lease := metadata.Lease{Name: "upload/" + id, Holder: "killed"}
		if err := a.db.Leases.Acquire(t.Context(), lease, time.Second); err != nil {
			t.Fatal(err)
		}
		b.append(id, []byte("second"))
		d := digest.FromString("first second")
		if err := b.FinishUpload(t.Context(), app, id, d, nil, io.LimitReader(nil, 0)); err != nil {
			t.Error(err)
		}
	})
}

// contend has b try to write an upload while a writes it, and write it afterwards. Its
// error is that of who was to write and could not.
func contend(t *testing.T, a, b *house) error {
	t.Helper()
	id := a.start(digest.SHA256)
	first, firstDone := a.appendsUntil(id, "first ")
	dropped, sweepErr := b.SweepUploads(t.Context(), -time.Hour)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errClientGone)
	defer cancel()
	_, meanwhileErr := b.AppendUpload(ctx, app, id, nil, strings.NewReader("lost"))
	close(first.open)
	_, err := b.AppendUpload(t.Context(), app, id, nil, strings.NewReader("second"))
	if err := errors.Join(<-firstDone, err); err != nil {
		return err
	}
	if dropped != 0 || sweepErr != nil {
		t.Errorf("an upload that is being written was swept: %d, %v", dropped, sweepErr)
	}
	if !errors.Is(meanwhileErr, errClientGone) {
		t.Errorf("a second writer got %v", meanwhileErr)
	}
	return b.FinishUpload(t.Context(), app, id, digest.FromString("first second"), nil, bytes.NewReader(nil))
}

// stoodStill tells that a replica held an upload for too long, or no longer: on a busy
// machine it may stand still for seconds.
func stoodStill(err error) bool {
	return errors.Is(err, metadata.ErrLeaseLost) || errors.Is(err, registry.ErrUploadBusy)
}

var errClientGone = errors.New("the client has gone")

package server_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/backup"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// moving is a stack that holds an image, and places to move it to.
type moving struct {
	*stack
	database, storage string
	image             hubsim.Pushed
}

func newMoving(t *testing.T) *moving {
	t.Helper()
	database := newDatabase(t)
	bucket, err := s3test.Versitygw()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bucket.Stop)
	m := &moving{
		stack: newStack(t, hubsim.Options{}, ""), database: database, storage: bucket.StorageURL("moved"),
	}
	m.env["AWS_ACCESS_KEY_ID"], m.env["AWS_SECRET_ACCESS_KEY"] = s3test.AccessKey, s3test.SecretKey
	m.image = m.hub.AddImage("library/app", "1", small(1))
	m.get("/v2/docker-hub/library/app/manifests/1").wants(t, http.StatusOK, "larder; fwd=miss; stored")
	m.get("/v2/docker-hub/library/app/blobs/"+m.layer().String()).wants(t, http.StatusOK, "larder; fwd=miss; stored")
	m.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	m.stop()
	return m
}

func (m *moving) layer() digest.Digest { return m.image.Manifests[0].Layers[0].Digest }

// to moves the registry from where its configuration says to a database and a
// storage, and makes the configuration say so.
func (m *moving) to(database, storage string) (server.Migrated, error) {
	m.t.Helper()
	return m.migrate(m.t.Context(), database, storage, func(string, int) func() { return func() {} })
}

func (m *moving) migrate(ctx context.Context, database, storage string, progress backup.Progress) (server.Migrated, error) {
	m.t.Helper()
	lookup := func(key string) (string, bool) {
		if key == "LARDER_TO_DATABASE" {
			return database, true
		}
		value, ok := m.env[key]
		return value, ok
	}
	from := m.load()
	target, err := server.LoadTarget(from, server.Target{Storage: storage}, lookup)
	if err != nil {
		m.t.Fatal(err)
	}
	done, err := server.Migrate(ctx, server.Migration{From: from, To: target, Progress: progress})
	if err == nil {
		m.configure(database, storage)
	}
	return done, err
}

func (m *moving) configure(database, storage string) {
	m.env["LARDER_DATABASE"], m.env["LARDER_STORAGE"] = database, storage
	if database == "sqlite" {
		m.env["LARDER_DATABASE"] = ""
	}
	if storage == "files" {
		m.env["LARDER_STORAGE"] = ""
	}
}

func (m *moving) mustMove(database, storage string) server.Migrated {
	m.t.Helper()
	done, err := m.to(database, storage)
	if err != nil {
		m.t.Fatal(err)
	}
	return done
}

// servesAll starts the server and pulls the image, which nobody else has now.
func (m *moving) servesAll() {
	m.t.Helper()
	m.start()
	m.get("/v2/docker-hub/library/app/manifests/1").wants(m.t, http.StatusOK, "larder; hit").is(m.t, m.image.Digest)
	m.get("/v2/docker-hub/library/app/blobs/"+m.layer().String()).wants(m.t, http.StatusOK, "larder; hit").is(m.t, m.layer())
	m.stop()
}

func TestARegistryMovesToPostgreSQLAndS3AndBack(t *testing.T) {
	m := newMoving(t)
	done := m.mustMove(m.database, m.storage)
	if done.Moved.Copied != 1 || done.ReadBack.Copied != 1 || done.Rows == 0 {
		t.Errorf("moved: %+v", done)
	}
	// What was there is not needed any more.
	remove(t, filepath.Join(m.data, "metadata.db"), filepath.Join(m.data, "blobs"))
	m.servesAll()
	for _, left := range []string{"metadata.db", "migrate.dump", "migrate.blobs"} {
		if _, err := os.Stat(filepath.Join(m.data, left)); err == nil {
			t.Errorf("%s is there", left)
		}
	}
	m.mustMove("sqlite", "files")
	m.servesAll()
	// A database that holds something is not mixed with another.
	if _, err := m.to(m.database, "files"); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("it was moved into a database that is not empty: %v", err)
	}
	m.servesAll()
}

func TestOnlyTheBlobsMoveOrOnlyTheMetadata(t *testing.T) {
	m := newMoving(t)
	m.mustMove("sqlite", m.storage)
	remove(t, filepath.Join(m.data, "blobs"))
	m.servesAll()
	m.mustMove(m.database, m.storage)
	remove(t, filepath.Join(m.data, "metadata.db"))
	m.servesAll()
	m.mustMove(m.database, "files")
	m.servesAll()
	if _, err := m.to(m.database, "files"); err == nil || !strings.Contains(err.Error(), "nothing to move") {
		t.Errorf("it was moved to where it is: %v", err)
	}
}

func TestAMoveThatWasBrokenOffGoesOn(t *testing.T) {
	m := newMoving(t)
	key := "sha256/" + m.layer().Encoded()[:2] + "/" + m.layer().Encoded()
	original := filepath.Join(m.data, "blobs", key)
	whole, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	write(t, original, []byte("rotten"))
	done, err := m.to(m.database, m.storage)
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") || len(done.Moved.Lost) != 1 {
		t.Fatalf("a registry that is not whole was moved: %+v, %v", done, err)
	}
	write(t, original, whole)
	m.servesAll() // it is as it was

	ctx, cancel := context.WithCancel(t.Context())
	_, err = m.migrate(ctx, m.database, m.storage, func(title string, _ int) func() {
		if title == "reading blobs back" {
			cancel()
		}
		return func() {}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not broken off: %v", err)
	}
	if done = m.mustMove(m.database, m.storage); done.Moved.Held != 1 || done.Moved.Copied != 0 {
		t.Errorf("it did not go on where it was: %+v", done)
	}
	m.servesAll()
}

func TestARegistryThatIsInUseIsNotMoved(t *testing.T) {
	m := newMoving(t)
	m.start()
	if _, err := m.to(m.database, m.storage); err == nil || !strings.Contains(err.Error(), "in use by another larder") {
		t.Errorf("it was moved: %v", err)
	}
	m.stop()
	m.servesAll()
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
}

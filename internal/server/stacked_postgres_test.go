package server_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

// newDatabase is empty, on a PostgreSQL of the test's own.
func newDatabase(t *testing.T) string {
	t.Helper()
	postgres, err := metadatatest.StartPostgreSQL()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	return postgres.Database(t)
}

func TestWhatIsHeldIsServedFromMetadataInPostgreSQLToo(t *testing.T) {
	database := newDatabase(t)
	s := newStack(t, hubsim.Options{}, "")
	s.stop()
	s.env["LARDER_DATABASE"], s.data = database, t.TempDir()
	s.start()
	image := s.hub.AddImage("library/app", "1", small(1))
	layer := image.Manifests[0].Layers[0].Digest
	s.get("/v2/docker-hub/library/app/manifests/1").wants(t, http.StatusOK, "larder; fwd=miss; stored").is(t, image.Digest)
	s.get("/v2/docker-hub/library/app/blobs/"+layer.String()).wants(t, http.StatusOK, "larder; fwd=miss; stored").is(t, layer)

	s.restart()
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.get("/v2/docker-hub/library/app/manifests/1").wants(t, http.StatusOK, "larder; hit").is(t, image.Digest)
	s.get("/v2/docker-hub/library/app/blobs/"+layer.String()).wants(t, http.StatusOK, "larder; hit").is(t, layer)
	if _, err := os.Stat(filepath.Join(s.data, "metadata.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a SQLite database as well: %v", err)
	}
}

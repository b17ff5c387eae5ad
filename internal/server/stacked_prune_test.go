package server_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/registry"
)

// prune asks the registry for what nothing refers to, as `larder adm prune images` does.
func (s *stack) prune(confirm bool) (api.PruneSummary, error) {
	body, err := json.Marshal(api.PruneRequest{Confirm: confirm})
	if err != nil {
		return api.PruneSummary{}, err
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.larder.Addr().String()+"/api/v1/prune", strings.NewReader(string(body)))
	if err != nil {
		return api.PruneSummary{}, err
	}
	r.SetBasicAuth("admin", adminPassword)
	r.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(r)
	if err != nil {
		return api.PruneSummary{}, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := json.NewDecoder(response.Body)
	for {
		var line api.PruneLine
		if err := lines.Decode(&line); errors.Is(err, io.EOF) {
			return api.PruneSummary{}, errors.New("the answer has no summary: " + response.Status)
		} else if err != nil {
			return api.PruneSummary{}, err
		}
		if line.Error != "" {
			return api.PruneSummary{}, errors.New(line.Error)
		}
		if line.Summary != nil {
			return *line.Summary, nil
		}
	}
}

func (s *stack) wantPruned(confirm bool, want api.PruneSummary) {
	s.t.Helper()
	want.Removed = confirm
	if got, err := s.prune(confirm); err != nil || got != want {
		s.t.Errorf("pruned %+v, %v; want %+v", got, err, want)
	}
}

// ageBlobs lets the blobs have been stored and used that much earlier.
func (s *stack) ageBlobs(by time.Duration) {
	s.t.Helper()
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(s.data, "metadata.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	for _, column := range []string{"blob_links SET used_at = used_at", "blobs SET stored_at = stored_at"} {
		if _, err := raw.ExecContext(s.t.Context(), "UPDATE "+column+" - $1", by.Microseconds()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// evict removes an image from the cache; its blobs stay.
func (s *stack) evict(base string, image hubsim.Pushed) {
	s.t.Helper()
	for _, m := range image.Manifests {
		got := s.send(request{method: http.MethodDelete, path: base + "manifests/" + m.Digest.String(), admin: true})
		if got.status != http.StatusAccepted {
			s.t.Fatalf("evicting got %d: %s", got.status, got.body)
		}
	}
}

func TestTheBlobsOfAnEvictedImageArePrunedAndTheRestIsServed(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	kept := s.hub.AddImage("library/nginx", "latest", small(1))
	gone := s.hub.AddImage("library/nginx", "old", small(2))
	s.pullAll(nginx, "latest", kept)
	s.pullAll(nginx, "old", gone)
	s.becomesReady()
	s.evict(nginx, gone)
	s.wantPruned(true, api.PruneSummary{})
	s.ageBlobs(25 * time.Hour)

	bytes := gone.Manifests[0].Config.Size
	for _, l := range gone.Manifests[0].Layers {
		bytes += l.Size
	}
	want := api.PruneSummary{Links: 2, Blobs: 2, Bytes: bytes}
	s.wantPruned(false, want)
	s.wantPruned(true, want)
	s.wantPruned(true, api.PruneSummary{})

	s.hub.Close()
	s.pullAll(nginx, "latest", kept)
	s.becomesReady()
	s.wantProbeKept()
}

// wantProbeKept looks for the readiness check's image, which belongs to no repository.
func (s *stack) wantProbeKept() {
	s.t.Helper()
	s.stop()
	db, err := metadata.Open(s.t.Context(), filepath.Join(s.data, "metadata.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	probe, err := registry.ProbeBlobs()
	if err != nil {
		s.t.Fatal(err)
	}
	uses, err := db.Blobs.Uses(s.t.Context(), probe)
	if err != nil || len(uses) != len(probe) {
		s.t.Fatalf("of %d blobs of the probe there are %+v, %v", len(probe), uses, err)
	}
	for _, b := range uses {
		if b.StoredAt.After(time.Now().Add(-24 * time.Hour)) {
			s.t.Errorf("a blob of the probe was removed and stored anew: %+v", b)
		}
	}
}

func TestPullsFillWhileTheRegistryIsPruned(t *testing.T) {
	const rounds, images = 3, 4
	s := newStack(t, hubsim.Options{}, "")
	var all []hubsim.Pushed
	for i := range images {
		all = append(all, s.hub.AddImage("library/nginx", string(rune('a'+i)), small(uint64(i))))
		s.pullAll(nginx, string(rune('a'+i)), all[i])
	}
	for range rounds {
		for _, image := range all {
			s.evict(nginx, image)
		}
		s.ageBlobs(25 * time.Hour)
		s.pullsWhile(all, func() error { _, err := s.prune(true); return err })
	}
	s.hub.Close()
	for i, image := range all {
		s.pullAll(nginx, string(rune('a'+i)), image)
	}
}

// pullsWhile pulls images while something else happens: blobs that nothing refers to any
// more, then what refers to them, and then those that are to stay.
func (s *stack) pullsWhile(all []hubsim.Pushed, happens func() error) {
	s.t.Helper()
	var work sync.WaitGroup
	work.Go(func() {
		if err := happens(); err != nil {
			s.t.Error(err)
		}
	})
	for i, image := range all {
		blobs := append(image.Manifests[0].Layers[:1:1], image.Manifests[0].Config)
		work.Go(func() {
			s.pullBlobs(blobs)
			s.pullWhole(nginx+"manifests/"+string(rune('a'+i)), int64(len(image.Raw)))
			s.pullBlobs(blobs)
		})
	}
	work.Wait()
}

func (s *stack) pullBlobs(all []v1.Descriptor) {
	for _, b := range all {
		s.pullWhole(nginx+"blobs/"+b.Digest.String(), b.Size)
	}
}

func (s *stack) pullWhole(path string, size int64) {
	got, err := s.try(s.t.Context(), request{path: path})
	if err != nil || got.err != nil || got.status != 200 || int64(len(got.body)) != size {
		s.t.Errorf("%s: %d bytes with status %d, %v, %v", path, len(got.body), got.status, err, got.err)
	}
}

package server_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestAnUploadOfYesterdayIsRemovedByTheRunningServer(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	begun := s.send(request{method: http.MethodPost, path: "/v2/demo/app/blobs/uploads/", admin: true})
	if begun.status != http.StatusAccepted {
		t.Fatalf("got %d: %s", begun.status, begun.body)
	}
	status := request{path: begun.header.Get("Location"), admin: true}
	s.restart()
	if got := s.send(status); got.status != http.StatusNoContent {
		t.Fatalf("an upload of today got %d after a restart", got.status)
	}
	s.stop()
	s.age(25 * time.Hour)
	s.start()
	s.eventually("the upload is removed", func() bool { return s.send(status).status == http.StatusNotFound })
}

// age makes the uploads in the data folder older; Larder must not be running.
func (s *stack) age(by time.Duration) {
	s.t.Helper()
	db, err := metadata.Open(s.t.Context(), filepath.Join(s.data, "metadata.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	uploads, err := db.Uploads.OlderThan(s.t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil || len(uploads) == 0 {
		s.t.Fatalf("there are %d uploads, %v", len(uploads), err)
	}
	for _, u := range uploads {
		u.UpdatedAt = u.UpdatedAt.Add(-by)
		if err := db.Uploads.Save(s.t.Context(), u); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
}

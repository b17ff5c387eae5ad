package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
)

// content are the blobs of a Backups that dumps its one text.
type content struct {
	dump  string
	fails error
	blobs map[digest.Digest]io.Reader
	size  int64
}

func (c content) Dump(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, c.dump)
	return errors.Join(err, c.fails)
}

func (c content) OpenBlob(_ context.Context, d digest.Digest) (io.ReadCloser, int64, error) {
	r, found := c.blobs[d]
	if !found {
		return nil, 0, blob.ErrNotFound
	}
	return io.NopCloser(r), c.size, nil
}

// withBackups is a fixture that gives out c.
func withBackups(t *testing.T, c content) *fixture {
	t.Helper()
	f := newFixture(t)
	f.config.Backups, f.config.Leases, f.config.SpoolDir = c, f.db.Leases, t.TempDir()
	f.handler = New(f.config)
	return f
}

func TestABackupHoldsOffCollectionUntilItEnds(t *testing.T) {
	f := withBackups(t, content{})
	var hold Hold
	f.want(f.do(admin, "POST", "/api/v1/backup/holds", ""), 201, &hold)
	if hold.ExpiresSeconds != 60 {
		t.Errorf("it is held for %d s", hold.ExpiresSeconds)
	}
	collector := metadata.Lease{Name: "collect", Holder: "collector"}
	if err := f.db.Leases.Acquire(t.Context(), collector, time.Hour); !errors.Is(err, metadata.ErrLeased) {
		t.Errorf("blobs may be collected: %v", err)
	}
	f.want(f.do(admin, "PUT", "/api/v1/backup/holds/"+hold.ID, ""), 204, nil)
	f.wantProblem(f.do(admin, "POST", "/api/v1/backup/holds", ""), 409, "another backup is under way")
	f.want(f.do(admin, "DELETE", "/api/v1/backup/holds/"+hold.ID, ""), 204, nil)
	f.wantProblem(f.do(admin, "PUT", "/api/v1/backup/holds/"+hold.ID, ""), 404, "begin the backup again")
	if err := f.db.Leases.Acquire(t.Context(), collector, time.Hour); err != nil {
		t.Errorf("blobs may not be collected: %v", err)
	}
	f.wantProblem(f.do(admin, "POST", "/api/v1/backup/holds", ""), 409, "blobs are being removed")
}

func TestADumpIsSentWhole(t *testing.T) {
	want := strings.Repeat("a line\n", streamPiece/4)
	f := withBackups(t, content{dump: want})
	w := f.do(admin, "GET", "/api/v1/backup/metadata", "")
	f.want(w, 200, nil)
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Error("the dump differs")
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
}

func TestADumpThatFailsIsAnErrorAndNoDump(t *testing.T) {
	f := withBackups(t, content{dump: "a line\n", fails: syscall.ENOSPC})
	f.wantProblem(f.do(admin, "GET", "/api/v1/backup/metadata", ""), 507, "full", "make space")
	f = withBackups(t, content{dump: "a line\n", fails: io.ErrUnexpectedEOF})
	f.wantProblem(f.do(admin, "GET", "/api/v1/backup/metadata", ""), 500)
}

func TestABlobOfAnyRepositoryIsRead(t *testing.T) {
	text := []byte("hello")
	d := digest.FromBytes(text)
	f := withBackups(t, content{blobs: map[digest.Digest]io.Reader{d: bytes.NewReader(text)}, size: 5})
	w := f.do(admin, "GET", "/api/v1/backup/blobs/"+d.String(), "")
	f.want(w, 200, nil)
	if diff := cmp.Diff("hello", w.Body.String()); diff != "" {
		t.Error(diff)
	}
	f.wantProblem(f.do(admin, "GET", "/api/v1/backup/blobs/"+digest.FromString("gone").String(), ""), 404, "is not there")
	f.wantProblem(f.do(admin, "GET", "/api/v1/backup/blobs/latest", ""), 400)
}

func TestABlobThatEndsTooSoonIsCutOff(t *testing.T) {
	d := digest.FromString("hello")
	f := withBackups(t, content{blobs: map[digest.Digest]io.Reader{d: strings.NewReader("hel")}, size: 5})
	s := httptest.NewServer(f.handler)
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/v1/backup/blobs/"+d.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	admin(r)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		_, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	if err == nil {
		t.Error("the answer ended as if it were whole")
	}
}

func TestABackupIsForAdministratorsOnly(t *testing.T) {
	f := withBackups(t, content{dump: "secret"})
	if err := f.db.Users.Create(t.Context(), metadata.User{Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.authn.SetPassword(t.Context(), "alice", "alice's password"); err != nil {
		t.Fatal(err)
	}
	alice := func(r *http.Request) { r.SetBasicAuth("alice", "alice's password") }
	for _, request := range [][2]string{
		{"POST", "/api/v1/backup/holds"},
		{"PUT", "/api/v1/backup/holds/x"},
		{"DELETE", "/api/v1/backup/holds/x"},
		{"GET", "/api/v1/backup/metadata"},
		{"GET", "/api/v1/backup/blobs/" + digest.FromString("x").String()},
	} {
		f.wantProblem(f.do(alice, request[0], request[1], ""), 403, "alice has no right to get backups in all projects")
		f.wantProblem(f.do(nobody, request[0], request[1], ""), 401)
	}
}

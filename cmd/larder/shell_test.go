package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/telemetry"
)

const adminPassword = "correct horse"

// newAPI is the API over a real database.
func newAPI(t *testing.T) (http.Handler, *metadata.DB) {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a, err := authn.New(authn.Config{Users: db.Users, Tokens: db.Tokens, Keys: db.Keys, Issuer: "larder"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.EnsureAdmin(t.Context(), adminPassword); err != nil {
		t.Fatal(err)
	}
	roles, err := authz.Open(t.Context(), authz.Config{Roles: db.Roles, RoleBindings: db.RoleBindings, Projects: db.Projects})
	if err != nil {
		t.Fatal(err)
	}
	return api.New(api.Config{
		Authenticator: a, Cursors: a, Authorizer: roles, Roles: roles, Projects: db.Projects, ProjectMaker: roles, Version: version,
		Address: telemetry.NewClientAddress(nil).Of,
	}), db
}

// shell types command lines in a home folder of its own.
type shell struct {
	t      *testing.T
	config string
}

func newShell(t *testing.T) shell {
	t.Helper()
	home := t.TempDir()
	for _, pair := range os.Environ() { // those of the machine are not the test's
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "LARDER_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("XDG_CONFIG_HOME", home)
	return shell{t: t, config: filepath.Join(home, "larder", "config")}
}

type result struct {
	status         int
	stdout, stderr string
}

func (s shell) typeIn(stdin string, args ...string) result {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(s.t.Context(), args, strings.NewReader(stdin), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// ok types a line that must succeed and returns what it printed.
func (s shell) ok(line string) string {
	s.t.Helper()
	r := s.typeIn("", strings.Fields(line)...)
	if r.status != exitDone {
		s.t.Fatalf("larder %s: status %d: %s", line, r.status, r.stderr)
	}
	return r.stdout
}

// fails types a line that must end with the status and say all texts.
func (s shell) fails(status int, line string, texts ...string) {
	s.t.Helper()
	s.refused(s.typeIn("", strings.Fields(line)...), status, line, texts...)
}

func (s shell) refused(r result, status int, line string, texts ...string) {
	s.t.Helper()
	if r.status != status {
		s.t.Errorf("larder %s: status %d, want %d: %s", line, r.status, status, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			s.t.Errorf("larder %s says %q, want it to say %q", line, r.stderr, text)
		}
	}
	if strings.Contains(r.stderr, adminPassword) {
		s.t.Errorf("larder %s tells the password", line)
	}
}

func (s shell) login(server string) {
	s.t.Helper()
	if r := s.typeIn(adminPassword+"\n", "login", server, "-u", "admin", "--password-stdin"); r.status != exitDone {
		s.t.Fatalf("login: %s", r.stderr)
	}
}

// newSession is a server, and a user who is logged in to it.
func newSession(t *testing.T) (shell, *httptest.Server, *metadata.DB) {
	t.Helper()
	handler, db := newAPI(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s := newShell(t)
	s.login(server.URL)
	return s, server, db
}

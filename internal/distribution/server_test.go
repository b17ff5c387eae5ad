package distribution_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/telemetry"
)

// fixture is the whole registry behind a test server: SQLite, files, authn, authz.
type fixture struct {
	*httptest.Server
	t        testing.TB
	dir      string
	db       *metadata.DB
	hosted   *registry.Registry
	auth     *authn.Authenticator
	access   *authz.Authorizer
	resolver *resolver
	config   distribution.Config
	// secrets are access tokens by user: they cost no password hashing.
	secrets map[string]string
}

// newFixture has the users admin and bob, and the hosted project demo.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), secrets: map[string]string{}}
	f.open()
	if err := f.hosted.EnsureProject(t.Context(), "demo", "admin"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"admin", "bob"} {
		if err := f.db.Users.Create(t.Context(), metadata.User{Name: user, PasswordHash: "none", CreatedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		secret, _, err := f.auth.CreateToken(t.Context(), authn.NewToken{User: user, Description: "of the test", Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		f.secrets[user] = secret
	}
	return f
}

// open opens the data folder and serves it.
func (f *fixture) open() {
	f.t.Helper()
	var err error
	if f.db, err = metadata.Open(context.Background(), filepath.Join(f.dir, "metadata.db")); err != nil {
		f.t.Fatal(err)
	}
	files, err := blob.OpenFiles(filepath.Join(f.dir, "storage"))
	if err != nil {
		f.t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	f.hosted = registry.New(registry.Config{DB: f.db, Blobs: files, Log: quiet})
	f.auth, err = authn.New(authn.Config{Users: f.db.Users, Tokens: f.db.Tokens, Keys: f.db.Keys, Issuer: "larder"})
	if err != nil {
		f.t.Fatal(err)
	}
	f.access, err = authz.Open(f.t.Context(), authz.Config{Roles: f.db.Roles, RoleBindings: f.db.RoleBindings, Projects: f.db.Projects})
	if err != nil {
		f.t.Fatal(err)
	}
	caches := map[string]*cacheProject{}
	if f.resolver != nil {
		caches = f.resolver.caches
	}
	f.resolver = &resolver{db: f.db, hosted: f.hosted, caches: caches}
	f.config = distribution.Config{
		Hosted: f.hosted, Resolver: f.resolver, Authenticator: f.auth, AccessTokens: f.auth, Cursors: f.auth, Authorizer: f.access, Projects: f.access, Reload: f.access.Reload,
		Origin:  func(r *http.Request) (string, string) { return "http", r.Host },
		Address: telemetry.NewClientAddress(nil).Of,
		Log:     quiet,
	}
	f.Server = httptest.NewServer(distribution.New(f.config))
	f.t.Cleanup(f.close)
}

func (f *fixture) close() {
	f.Close()
	f.hosted.Close()
	if err := f.db.Close(); err != nil {
		f.t.Error(err)
	}
}

// restart stops the server and opens the same data folder again.
func (f *fixture) restart() {
	f.t.Helper()
	f.close()
	f.open()
}

// resolver knows hosted projects from metadata and cache projects from a map.
type resolver struct {
	db     *metadata.DB
	hosted *registry.Registry
	caches map[string]*cacheProject
}

func (r *resolver) Resolve(ctx context.Context, name, ns string) (distribution.Target, error) {
	if ns != "" {
		if ns != "docker.io" {
			return distribution.Target{}, &oci.Error{Code: oci.CodeNameUnknown, Message: "no upstream holds " + ns}
		}
		name = "docker-hub/" + name
	}
	repo, err := oci.ParseRepository(name)
	if err != nil {
		return distribution.Target{}, err
	}
	if cache, ok := r.caches[repo.Project()]; ok {
		if !strings.Contains(repo.Rest(), "/") {
			repo = oci.Repository(repo.Project() + "/library/" + repo.Rest())
		}
		return distribution.Target{Repository: repo, Kind: metadata.Cache, Images: cache, Namespace: ns}, nil
	}
	project, err := r.db.Projects.Get(ctx, repo.Project())
	if errors.Is(err, metadata.ErrNotFound) {
		return distribution.Target{Repository: repo}, nil
	}
	return distribution.Target{Repository: repo, Kind: project.Kind, Images: r.hosted}, err
}

// cacheProject answers like a cache, with what a test has given it.
type cacheProject struct {
	*registry.Registry
	served oci.Served
	err    error
	blob   func(ctx context.Context) oci.Blob
}

func (c *cacheProject) answer() (oci.Manifest, oci.Served, error) {
	m := oci.Manifest{MediaType: v1.MediaTypeImageManifest, Content: []byte(`{"cached":true}`)}
	m.Digest = digest.FromBytes(m.Content)
	return m, c.served, c.err
}

func (c *cacheProject) Manifest(context.Context, oci.Caller, oci.Repository, oci.Reference) (oci.Manifest, oci.Served, error) {
	return c.answer()
}

func (c *cacheProject) StatManifest(context.Context, oci.Caller, oci.Repository, oci.Reference) (oci.Descriptor, oci.Served, error) {
	m, served, err := c.answer()
	return m.Descriptor(), served, err
}

func (c *cacheProject) Blob(ctx context.Context, _ oci.Caller, _ oci.Repository, _ digest.Digest) (oci.Blob, oci.Served, error) {
	if c.err != nil {
		return nil, c.served, c.err
	}
	return c.blob(ctx), c.served, nil
}

// cache adds a cache project.
func (f *fixture) cache(name string) *cacheProject {
	f.t.Helper()
	c := &cacheProject{Registry: f.hosted}
	f.resolver.caches[name] = c
	if err := f.db.Projects.Ensure(f.t.Context(), metadata.Project{Name: name, Kind: metadata.Cache}); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// request is one request and what is shown with it.
type request struct {
	method, path string
	body         []byte
	header       map[string]string
	user         string // admin by default; "-" for a stranger, else bob
	token        string // a bearer token in place of a password
}

// response is one answer, read to its end.
type response struct {
	*http.Response
	body []byte
}

func (f *fixture) do(q request) response {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), q.method, f.url(q.path), bytes.NewReader(q.body))
	if err != nil {
		f.t.Fatal(err)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	switch {
	case q.token != "":
		r.Header.Set("Authorization", "Bearer "+q.token)
	case q.user == "":
		r.SetBasicAuth("admin", f.secrets["admin"])
	case q.user == "bob":
		r.SetBasicAuth("bob", f.secrets["bob"])
	}
	got, err := f.Client().Transport.RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response{got, body}
}

func (f *fixture) url(path string) string {
	if strings.HasPrefix(path, "http://") {
		return path
	}
	return f.URL + path
}

func (f *fixture) get(path string) response {
	f.t.Helper()
	return f.do(request{method: "GET", path: path})
}

// expect fails unless the status and, for errors, the code are as wanted.
func (r response) expect(t testing.TB, status int, code oci.Code) response {
	t.Helper()
	if r.StatusCode != status || r.code() != code {
		t.Fatalf("%s %s answered %d %q, want %d %q\n%s", r.Request.Method, r.Request.URL, r.StatusCode, r.code(), status, code, r.body)
	}
	return r
}

// code is the first error's code in a body of errors, "" in any other.
func (r response) code() oci.Code {
	var list struct {
		Errors []struct {
			Code    oci.Code
			Message string
		}
	}
	if json.Unmarshal(r.body, &list) != nil || len(list.Errors) == 0 {
		return ""
	}
	return list.Errors[0].Code
}

func (r response) header(t testing.TB, name, want string) response {
	t.Helper()
	if got := strings.Join(r.Header.Values(name), ", "); got != want {
		t.Errorf("%s %s answered %s %q, want %q", r.Request.Method, r.Request.URL, name, got, want)
	}
	return r
}

// pushBlob pushes content in one POST.
func (f *fixture) pushBlob(repo string, content []byte, alg digest.Algorithm) digest.Digest {
	f.t.Helper()
	d := alg.FromBytes(content)
	f.do(request{method: "POST", path: "/v2/" + repo + "/blobs/uploads/?digest=" + d.String(), body: content}).expect(f.t, 201, "")
	return d
}

// image makes a manifest and pushes what it refers to.
func (f *fixture) image(repo string, edit func(*v1.Manifest)) []byte {
	f.t.Helper()
	config, layer := []byte(`{}`), []byte("a layer of "+repo)
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: f.pushBlob(repo, config, digest.SHA256), Size: int64(len(config))},
		Layers:    []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: f.pushBlob(repo, layer, digest.SHA256), Size: int64(len(layer))}},
	}
	if edit != nil {
		edit(&m)
	}
	return marshal(f.t, m)
}

func (f *fixture) pushManifest(repo, ref string, content []byte) response {
	f.t.Helper()
	return f.do(request{
		method: "PUT", path: "/v2/" + repo + "/manifests/" + ref, body: content,
		header: map[string]string{"Content-Type": v1.MediaTypeImageManifest},
	})
}

// startUpload begins an upload and returns its location.
func (f *fixture) startUpload(repo, query string) string {
	f.t.Helper()
	return f.do(request{method: "POST", path: "/v2/" + repo + "/blobs/uploads/" + query}).expect(f.t, 202, "").Header.Get("Location")
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func unmarshal[T any](t testing.TB, content []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%v in %s", err, content)
	}
	return v
}

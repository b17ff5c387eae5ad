package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/telemetry"
)

const password = "correct horse"

// fixture is the API over a real database.
type fixture struct {
	t       *testing.T
	config  Config
	handler http.Handler
	db      *metadata.DB
	file    string // the database's
	authn   *authn.Authenticator
	roles   *authz.Authorizer
	log     *bytes.Buffer
	hosted  *registry.Registry
	now     time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &bytes.Buffer{}, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	f.file = filepath.Join(t.TempDir(), "metadata.db")
	var err error
	if f.db, err = metadata.Open(t.Context(), f.file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.db.Close() })
	clock := func() time.Time { return f.now }
	f.authn, err = authn.New(authn.Config{Users: f.db.Users, Tokens: f.db.Tokens, Keys: f.db.Keys, Issuer: "larder", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.authn.EnsureAdmin(t.Context(), password); err != nil {
		t.Fatal(err)
	}
	f.roles, err = authz.Open(t.Context(), authz.Config{Roles: f.db.Roles, RoleBindings: f.db.RoleBindings, Projects: f.db.Projects, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	f.config = Config{
		Authenticator: f.authn, Cursors: f.authn, Authorizer: f.roles, Roles: f.roles, Projects: f.db.Projects, ProjectMaker: f.roles,
		Users: f.db.Users, Groups: f.db.Groups, Tokens: f.db.Tokens, Accounts: authn.NewAccounts(f.authn, f.db.Users, f.db.Groups),
		Address:    telemetry.NewClientAddress(nil).Of,
		Origin:     func(r *http.Request) (string, string) { return "https", r.Host },
		Retentions: f.db.Retentions, Retention: &gc.Retention{DB: f.db, Now: clock},
		Version: "1.2.3", Commit: "abc",
		Now: clock, Log: slog.New(slog.NewTextHandler(f.log, nil)),
	}
	files, err := blob.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f.hosted = registry.New(registry.Config{DB: f.db, Blobs: files, Now: clock, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(f.hosted.Close)
	f.config.Repositories, f.config.Histories, f.config.Images = f.db.Repositories, f.db.Tags, f.hosted
	f.config.Stars, f.config.Pins = f.db.Stars, f.db.Pins
	f.config.Events = events.New(f.db.Audit, clock, f.config.Log)
	f.handler = New(f.config)
	return f
}

// admin is the identity of the user admin.
func (*fixture) admin() authn.Identity {
	return authn.Identity{User: authn.UserAdmin, Groups: []string{authn.GroupAuthenticated, authn.GroupMasters}}
}

// as sets the credentials of a request.
type as func(*http.Request)

func admin(r *http.Request) { r.SetBasicAuth("admin", password) }

func nobody(*http.Request) {}

func bearer(token string) as {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func (f *fixture) do(who as, method, path, body string) *httptest.ResponseRecorder {
	f.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(f.t.Context(), method, path, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	who(r)
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// want checks the status and reads the body into v, unless v is nil.
func (f *fixture) want(w *httptest.ResponseRecorder, status int, v any) {
	f.t.Helper()
	if w.Code != status {
		f.t.Fatalf("status = %d, want %d: %s", w.Code, status, w.Body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		f.t.Fatalf("reading %s: %v", w.Body, err)
	}
}

// wantProblem checks that the answer is an error in the one form, with all texts.
func (f *fixture) wantProblem(w *httptest.ResponseRecorder, status int, texts ...string) {
	f.t.Helper()
	var p huma.ErrorModel
	f.want(w, status, &p)
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		f.t.Errorf("Content-Type = %q", got)
	}
	if p.Status != status || p.Title != http.StatusText(status) {
		f.t.Errorf("problem = %+v", p)
	}
	for _, text := range texts {
		if !strings.Contains(p.Detail, text) {
			f.t.Errorf("detail = %q, want it to say %q", p.Detail, text)
		}
	}
}

func (f *fixture) login() Token {
	f.t.Helper()
	var token Token
	f.want(f.do(admin, "POST", "/api/v1/tokens", `{}`), 201, &token)
	return token
}

func TestTheVersionNeedsNoLogin(t *testing.T) {
	f := newFixture(t)
	var got Version
	f.want(f.do(nobody, "GET", "/api/v1/version", ""), 200, &got)
	if diff := cmp.Diff(Version{Version: "1.2.3", Commit: "abc", GoVersion: runtime.Version()}, got); diff != "" {
		t.Errorf("version (-want +got):\n%s", diff)
	}
}

func TestWhoamiTellsTheUserAndTheGroups(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	want := User{Name: "admin", Groups: []string{"system:authenticated", "system:masters"}}
	for name, who := range map[string]as{
		"by password":                         admin,
		"by access token":                     bearer(token.Token),
		"by access token in small letters":    func(r *http.Request) { r.Header.Set("Authorization", "bearer "+token.Token) },
		"by access token that is a password ": func(r *http.Request) { r.SetBasicAuth("unused", token.Token) },
	} {
		t.Run(name, func(t *testing.T) {
			var got User
			f.want(f.do(who, "GET", "/api/v1/whoami", ""), 200, &got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("user (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheRegistryTellsTheHostThatImageNamesBeginWith(t *testing.T) {
	f := newFixture(t)
	var got Registry
	f.want(f.do(admin, "GET", "/api/v1/registry", ""), 200, &got)
	if diff := cmp.Diff(Registry{Host: "example.com", URL: "https://example.com"}, got); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
}

func TestEverythingElseNeedsALogin(t *testing.T) {
	f := newFixture(t)
	registryToken, _, err := f.authn.Issue(t.Context(), authn.Anonymous(), authn.Credential{}, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	operations := []struct{ method, path, body string }{
		{"GET", "/api/v1/whoami", ""},
		{"POST", "/api/v1/tokens", `{}`},
		{"DELETE", "/api/v1/tokens/current", ""},
		{"GET", "/api/v1/projects", ""},
		{"POST", "/api/v1/projects", `{"name":"demo"}`},
		{"GET", "/api/v1/projects/demo", ""},
	}
	callers := []struct {
		name string
		who  as
		text string
	}{
		{"nobody", nobody, "larder login"},
		{"a wrong password", func(r *http.Request) { r.SetBasicAuth("admin", "wrong") }, "password is wrong"},
		{"an unknown user", func(r *http.Request) { r.SetBasicAuth("bob", password) }, "password is wrong"},
		{"a token that is none", bearer("abc"), "larder login"},
		{"a registry token", bearer(registryToken), "larder login"},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Digest abc") }, "password is wrong"},
		{"half a header", func(r *http.Request) { r.Header.Set("Authorization", "Basic") }, "password is wrong"},
	}
	for _, c := range callers {
		t.Run(c.name, func(t *testing.T) {
			for _, o := range operations {
				w := f.do(c.who, o.method, o.path, o.body)
				f.wantProblem(w, 401, c.text)
				if got := w.Header().Get("WWW-Authenticate"); got != challenge {
					t.Errorf("%s %s: WWW-Authenticate = %q", o.method, o.path, got)
				}
			}
		})
	}
	if all, err := f.db.Projects.List(t.Context(), "", 10); err != nil || len(all) != 0 {
		t.Errorf("projects = %v, %v", all, err)
	}
}

func TestPathsAndMethodsThatAreNotThereAreToldInTheSameForm(t *testing.T) {
	f := newFixture(t)
	f.wantProblem(f.do(admin, "GET", "/api/v1/nothing", ""), 404, "/api/openapi.json")
	f.wantProblem(f.do(admin, "GET", "/api/", ""), 404)
	w := f.do(admin, "PATCH", "/api/v1/projects", `{}`)
	f.wantProblem(w, 405, "PATCH", "GET or POST")
	if got := w.Header().Get("Allow"); got != "GET, POST" {
		t.Errorf("Allow = %q", got)
	}
}

func TestRequestsThatAreNotAsDescribedSayWhatToChange(t *testing.T) {
	f := newFixture(t)
	tests := []struct {
		name, method, path, body string
		status                   int
		location                 string
	}{
		{"broken JSON", "POST", "/api/v1/projects", `{"name":`, 400, "body"},
		{"an unknown field", "POST", "/api/v1/projects", `{"name":"demo","nam":"x"}`, 422, "body.nam"},
		{"no name", "POST", "/api/v1/projects", `{}`, 422, "body"},
		{"a page that is too large", "GET", "/api/v1/projects?limit=1001", "", 422, "query.limit"},
		{"a page of nothing", "GET", "/api/v1/projects?limit=0", "", 422, "query.limit"},
		{"a description that steers a terminal", "POST", "/api/v1/projects", `{"name":"demo","description":"\u001b[31m"}`, 422, "body.description"},
		{"a token for ever", "POST", "/api/v1/tokens", `{"expirationSeconds":31536001}`, 422, "body.expirationSeconds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := f.do(admin, tt.method, tt.path, tt.body)
			f.wantProblem(w, tt.status, "see errors")
			if want := `"location":"` + tt.location + `"`; !strings.Contains(w.Body.String(), want) {
				t.Errorf("body = %s, want %s", w.Body, want)
			}
		})
	}
	f.wantProblem(f.do(admin, "POST", "/api/v1/projects", `{"name":"`+strings.Repeat("x", maxBody)+`"}`), 413, "the body of the request has more than 65536 bytes, the limit")
}

func TestAFaultOfTheRegistryIsLoggedAndNotTold(t *testing.T) {
	f := newFixture(t)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	w := f.do(admin, "GET", "/api/v1/projects", "")
	f.wantProblem(w, 500, "try again", "log")
	if strings.Contains(w.Body.String(), "database") {
		t.Errorf("body = %s", w.Body)
	}
	if got := f.log.String(); !strings.Contains(got, "list-projects") || !strings.Contains(got, "database") || strings.Contains(got, password) {
		t.Errorf("log = %s", got)
	}
}

func TestTheLogTellsWhoAsked(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	log := slog.New(slog.NewTextHandler(f.log, nil))
	f.handler = telemetry.Middleware(log, telemetry.NewMetrics(prometheus.NewRegistry()), telemetry.NewClientAddress(nil), f.handler)
	f.want(f.do(bearer(token.Token), "GET", "/api/v1/projects", ""), 200, nil)
	if got := f.log.String(); !strings.Contains(got, "user=admin") || strings.Contains(got, token.Token) {
		t.Errorf("log = %s", got)
	}
}

func TestAPageOfAnotherSiteCannotUseTheBrowsersLogin(t *testing.T) {
	f := newFixture(t)
	w := f.do(func(r *http.Request) {
		admin(r)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}, "POST", "/api/v1/projects", `{"name":"demo"}`)
	f.wantProblem(w, 403, "another site")
}

func TestAnswersAreNotKeptInCaches(t *testing.T) {
	f := newFixture(t)
	if got := f.do(admin, "POST", "/api/v1/tokens", `{}`).Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q", got)
	}
}

func TestTheDescriptionListsEveryOperation(t *testing.T) {
	f := newFixture(t)
	w := f.do(nobody, "GET", "/api/openapi.json", "")
	var got struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Security   []map[string][]string     `json:"security"`
			Parameters []struct{ Name string }   `json:"parameters"`
			Responses  map[string]map[string]any `json:"responses"`
		} `json:"paths"`
	}
	f.want(w, 200, &got)
	if !strings.HasPrefix(got.OpenAPI, "3.1") || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Errorf("openapi = %q, Content-Type = %q", got.OpenAPI, w.Header().Get("Content-Type"))
	}
	want := map[string][]string{
		"/api/v1/backup/blobs/{digest}":                            {"get"},
		"/api/v1/kubernetes":                                       {"get"},
		"/api/v1/kubernetes/namespaces":                            {"get"},
		"/api/v1/kubernetes/pods":                                  {"get"},
		"/api/v1/backup/holds":                                     {"post"},
		"/api/v1/backup/holds/{id}":                                {"delete", "put"},
		"/api/v1/backup/metadata":                                  {"get"},
		"/api/v1/fsck":                                             {"post"},
		"/api/v1/projects":                                         {"get", "post"},
		"/api/v1/projects/{name}":                                  {"get", "patch", "delete"},
		"/api/v1/prune":                                            {"post"},
		"/api/v1/login":                                            {"get"},
		"/api/v1/login/ci":                                         {"post"},
		"/api/v1/login/oidc":                                       {"post"},
		"/api/v1/login/oidc/device":                                {"post"},
		"/api/v1/login/oidc/device/token":                          {"post"},
		"/api/v1/registry":                                         {"get"},
		"/api/v1/groups":                                           {"get", "post"},
		"/api/v1/groups/{name}":                                    {"get", "delete"},
		"/api/v1/groups/{name}/members/{user}":                     {"put", "delete"},
		"/api/v1/projects/{project}/serviceaccounts":               {"get", "post"},
		"/api/v1/projects/{project}/serviceaccounts/{name}":        {"get", "delete"},
		"/api/v1/projects/{project}/serviceaccounts/{name}/tokens": {"get", "post"},
		"/api/v1/projects/{project}/serviceaccounts/{name}/tokens/{id}": {"delete"},
		"/api/v1/users":                                                           {"get", "post"},
		"/api/v1/users/{name}":                                                    {"get", "patch", "delete"},
		"/api/v1/users/{name}/password":                                           {"put"},
		"/api/v1/tokens/{id}":                                                     {"get", "patch", "delete"},
		"/api/v1/tokens":                                                          {"get", "post"},
		"/api/v1/tokens/current":                                                  {"delete"},
		"/api/v1/version":                                                         {"get"},
		"/api/v1/whoami":                                                          {"get"},
		"/api/v1/projects/{project}/roles":                                        {"get", "post"},
		"/api/v1/projects/{project}/roles/{name}":                                 {"get", "put", "delete"},
		"/api/v1/projects/{project}/rolebindings":                                 {"get", "post"},
		"/api/v1/projects/{project}/rolebindings/{name}":                          {"get", "delete"},
		"/api/v1/projects/{project}/grants":                                       {"post", "delete"},
		"/api/v1/clusterroles":                                                    {"get", "post"},
		"/api/v1/clusterroles/{name}":                                             {"get", "put", "delete"},
		"/api/v1/clusterrolebindings":                                             {"get", "post"},
		"/api/v1/clusterrolebindings/{name}":                                      {"get", "delete"},
		"/api/v1/clustergrants":                                                   {"post", "delete"},
		"/api/v1/accessreviews":                                                   {"post"},
		"/api/v1/projects/{project}/who-can":                                      {"get"},
		"/api/v1/exposure":                                                        {"get"},
		"/api/v1/projects/{project}/repositories/{repository}/imports":            {"get", "post"},
		"/api/v1/projects/{name}/retention":                                       {"get", "put", "delete"},
		"/api/v1/projects/{name}/retention/preview":                               {"get", "post"},
		"/api/v1/events":                                                          {"get"},
		"/api/v1/projects/{project}/repositories":                                 {"get", "post"},
		"/api/v1/projects/{project}/repositories/{repository}":                    {"get", "patch", "delete"},
		"/api/v1/projects/{project}/repositories/{repository}/tags":               {"get"},
		"/api/v1/projects/{project}/repositories/{repository}/tags/{tag}":         {"get", "put", "delete"},
		"/api/v1/projects/{project}/repositories/{repository}/tags/{tag}/history": {"get"},
		"/api/v1/projects/{project}/repositories/{repository}/star":               {"put", "delete"},
		"/api/v1/stars":                                                           {"get"},
		"/api/v1/limits":                                                          {"get"},
		"/api/v1/upstreams":                                                       {"get"},
		"/api/v1/projects/{project}/credentials":                                  {"get"},
		"/api/v1/projects/{project}/credentials/{upstream}/{username}":            {"get", "put", "delete"},
		"/api/v1/credentials":                                                     {"get"},
		"/api/v1/credentials/{upstream}/{username}":                               {"get", "put", "delete"},
		"/api/v1/projects/{project}/webhooks":                                     {"get", "post"},
		"/api/v1/projects/{project}/webhooks/{name}":                              {"get", "delete"},
		"/api/v1/projects/{project}/webhooks/{name}/resume":                       {"post"},
		"/api/v1/projects/{project}/deliveries":                                   {"get"},
		"/api/v1/projects/{project}/deliveries/{id}/redeliver":                    {"post"},
		"/api/v1/warm":                                                            {"post"},
		"/api/v1/drill":                                                           {"post"},
		"/api/v1/pins":                                                            {"get"},
		"/api/v1/projects/{project}/repositories/{repository}/pins/{reference}":   {"put", "delete"},
		"/api/v1/failures":                                                        {"get"},
		"/api/v1/failures/{id}":                                                   {"get"},
		"/api/v1/upstreams/{name}/ledger":                                         {"get"},
	}
	open := map[string]bool{
		"/api/v1/version": true, "/api/v1/login": true, "/api/v1/login/ci": true,
		"/api/v1/login/oidc": true, "/api/v1/login/oidc/device": true, "/api/v1/login/oidc/device/token": true,
	}
	if len(got.Paths) != len(want) {
		t.Errorf("%d paths, want %d", len(got.Paths), len(want))
	}
	for path, methods := range want {
		for _, method := range methods {
			op, ok := got.Paths[path][method]
			if !ok {
				t.Errorf("%s %s is missing", method, path)
				continue
			}
			if needsLogin := len(op.Security) > 0; needsLogin == open[path] {
				t.Errorf("%s %s: login = %v", method, path, needsLogin)
			}
			for _, p := range op.Parameters {
				if p.Name == "Authorization" {
					t.Errorf("%s %s lists Authorization as a parameter", method, path)
				}
			}
		}
	}
}

func TestManyAskAtOnce(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for _, path := range []string{"/api/openapi.json", "/api/v1/whoami", "/api/v1/projects"} {
				if w := f.do(bearer(token.Token), "GET", path, ""); w.Code != 200 {
					t.Errorf("GET %s = %d", path, w.Code)
				}
			}
		})
	}
	wg.Wait()
}

package distribution_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/oci"
)

// searchable is a fixture with hosted and cached repositories, some of them for strangers.
func searchable(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.cache("docker-hub")
	if err := f.hosted.EnsureProject(t.Context(), "open", "admin"); err != nil {
		t.Fatal(err)
	}
	f.give("open", "system:image-puller", authz.User("system:anonymous"))
	for _, repo := range []string{"demo/nginx-secret", "open/app", "open/my-nginx", "open/nginx-unit"} {
		f.pushBlob(repo, nil, digest.SHA256)
	}
	for repo, public := range map[string]bool{"docker-hub/library/nginx": true, "docker-hub/acme/nginx": false} {
		if err := f.db.Repositories.SetVisibility(t.Context(), repo, public, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.db.Repositories.Describe(t.Context(), "open/app", "a web server in front of Nginx", ""); err != nil {
		t.Fatal(err)
	}
	return f
}

type searchResults struct {
	Count   int `json:"num_results"`
	Results []struct {
		Name, Description string
		IsOfficial        bool `json:"is_official"`
	}
}

func (f *fixture) search(query, user string) searchResults {
	f.t.Helper()
	got := f.do(request{method: "GET", path: "/v1/search?" + query, user: user}).expect(f.t, 200, "")
	return unmarshal[searchResults](f.t, got.body)
}

func (s searchResults) names() []string {
	names := []string{}
	for _, r := range s.Results {
		names = append(names, r.Name)
	}
	return names
}

func TestASearchFindsByNameProjectAndDescriptionWhatTheCallerMayPull(t *testing.T) {
	f := searchable(t)
	strangers := []string{"docker-hub/library/nginx", "open/nginx-unit", "open/my-nginx", "open/app"}
	for _, test := range []struct {
		query, user string
		want        []string
	}{
		{"q=nginx", "-", strangers},
		{"q=NGINX", "-", strangers},
		{"q=nginx", "bob", append([]string{"docker-hub/acme/nginx"}, strangers...)},
		{"q=nginx", "", []string{"docker-hub/acme/nginx", "docker-hub/library/nginx", "demo/nginx-secret", "open/nginx-unit", "open/my-nginx", "open/app"}},
		{"q=secret", "-", []string{}},
		{"q=open/", "-", []string{"open/app", "open/my-nginx", "open/nginx-unit"}},
		{"q=web+server", "-", []string{"open/app"}},
		{"q=%25", "-", []string{}},
		{"q=_", "-", []string{}},
		{"q=nginx&n=2", "-", strangers[:2]},
		{"q=&n=1000", "-", []string{"docker-hub/library/nginx", "open/app", "open/my-nginx", "open/nginx-unit"}},
	} {
		got := f.search(test.query, test.user)
		if diff := cmp.Diff(test.want, got.names()); diff != "" || got.Count != len(test.want) {
			t.Errorf("%s by %q finds %d (-want +got):\n%s", test.query, test.user, got.Count, diff)
		}
	}
}

func TestWhatASearchTellsOfARepository(t *testing.T) {
	f := searchable(t)
	for query, official := range map[string]bool{"q=library/nginx": true, "q=open/app": false} {
		got := f.search(query, "-")
		if len(got.Results) != 1 || got.Results[0].IsOfficial != official {
			t.Errorf("%s: %+v", query, got.Results)
		}
	}
	if got := f.search("q=open/app", "-"); got.Results[0].Description != "a web server in front of Nginx" {
		t.Errorf("it is described as %q", got.Results[0].Description)
	}
	f.get("/v1/_ping").expect(t, 200, "").header(t, "X-Docker-Registry-Standalone", "true")
}

func TestPodmanThatShowsNoLoginIsSentToTheCatalog(t *testing.T) {
	f := searchable(t)
	podman := map[string]string{"User-Agent": "containers/5.23.1 (github.com/containers/image)"}
	f.do(request{method: "GET", path: "/v1/search?q=nginx", user: "-", header: podman}).expect(t, 404, oci.CodeNameUnknown)
	f.do(request{method: "GET", path: "/v1/search?q=nginx", header: podman}).expect(t, 200, "")
}

func TestASearchThatIsRefused(t *testing.T) {
	f := searchable(t)
	f.get("/v1/search?q=nginx&n=many").expect(t, 400, oci.CodePaginationInvalid)
	f.get("/v1/search?q="+strings.Repeat("a", 256)).expect(t, 400, "REQUEST_INVALID")
	f.do(request{method: "POST", path: "/v1/search?q=nginx"}).expect(t, 404, oci.CodeNameUnknown)
	one := authn.Access{Type: authn.TypeRepository, Name: "demo/nginx-secret", Actions: []string{authn.ActionPull}}
	all := authn.Access{Type: authn.TypeRegistry, Name: "catalog", Actions: []string{authn.ActionAll}}
	for token, status := range map[string]int{
		"forged": 401, f.issue("admin", one): 401, f.issue("admin", one, all): 200, f.issue("admin"): 200,
	} {
		if got := f.do(request{method: "GET", path: "/v1/search?q=nginx", token: token}); got.StatusCode != status {
			t.Errorf("a token is answered %d, want %d: %s", got.StatusCode, status, got.body)
		}
	}
}

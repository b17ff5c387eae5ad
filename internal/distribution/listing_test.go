package distribution_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
	"github.com/larder-registry/larder/internal/oci"
)

// many has thousands of projects beside a cache.
func many(t *testing.T, count int) *fixture {
	t.Helper()
	f := newFixture(t)
	f.cache("docker-hub")
	metadatatest.ManyProjects(t, filepath.Join(f.dir, "metadata.db"), count)
	return f
}

// catalog reads the catalog to its end, and tells the names and the links of its pages.
func (f *fixture) catalog(query, user string) (names, links []string) {
	f.t.Helper()
	for path := "/v2/_catalog?" + query; path != ""; {
		page := f.do(request{method: "GET", path: path, user: user}).expect(f.t, 200, "")
		names = append(names, unmarshal[struct{ Repositories []string }](f.t, page.body).Repositories...)
		link := page.Header.Get("Link")
		links = append(links, link)
		path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
	}
	return names, links
}

func TestNoPageOfTheCatalogNamesWhatTheCallerMayNotSee(t *testing.T) {
	f := many(t, 21_000)
	f.give("p20500", "system:image-puller", authz.User("bob"))
	f.give("p00003", "system:image-puller", authz.User("bob"))
	names, links := f.catalog("n=1", "bob")
	if diff := cmp.Diff([]string{"p00003/app", "p20500/app"}, names); diff != "" {
		t.Errorf("bob is shown (-want +got):\n%s", diff)
	}
	for _, link := range links {
		if strings.Contains(strings.NewReplacer("p00003%2Fapp", "", "p20500%2Fapp", "").Replace(link), "=p") {
			t.Errorf("bob is told of another repository: %s", link)
		}
	}
	if names, links := f.catalog("", "-"); len(names) > 0 || slices.ContainsFunc(links, func(link string) bool { return strings.Contains(link, "=p") }) {
		t.Errorf("a stranger is told of %q by %q", names, links)
	}
	f.do(request{method: "GET", path: "/v2/_catalog?last=~forged"}).expect(t, 400, oci.CodePaginationInvalid)
}

func TestWhatACacheHasLeftIsListedNowhereOnceItsUpstreamIsGone(t *testing.T) {
	f := newFixture(t)
	f.pushBlob("demo/app", nil, digest.SHA256)
	if err := f.db.Projects.Create(t.Context(), metadata.Project{Name: "old-hub", Kind: metadata.Cache, CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old-hub/library/app", "old-hub/library/nginx"} {
		if err := f.db.Repositories.SetVisibility(t.Context(), name, true, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	resolver := &forgotten{Resolver: f.resolver}
	f.config.Resolver = resolver
	f.Config.Handler = distribution.New(f.config)
	for _, user := range []string{"", "-"} {
		names, _ := f.catalog("", user)
		found := f.search("q=app", user).names()
		if slices.ContainsFunc(append(names, found...), func(name string) bool { return strings.HasPrefix(name, "old-hub/") }) {
			t.Errorf("user %q is shown %q, and finds %q", user, names, found)
		}
	}
}

// forgotten is a resolver that answers as one does for the project of an upstream that is
// no longer configured.
type forgotten struct{ distribution.Resolver }

func (f *forgotten) Resolve(ctx context.Context, name, ns string) (distribution.Target, error) {
	if strings.HasPrefix(name, "old-hub/") {
		return distribution.Target{}, &oci.Error{Code: oci.CodeNameUnknown, Message: "its upstream is no longer configured"}
	}
	return f.Resolver.Resolve(ctx, name, ns)
}

func TestAStrangerWhoMayPushMountsNothingThatAnUpstreamKeepsToItself(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	f.give("demo", "system:image-builder", authz.User("system:anonymous"))
	d := f.pushBlob("demo/app", []byte("of an upstream"), digest.SHA256).String()
	for _, from := range []string{"docker-hub/acme/secret", "docker-hub/acme/unknown", "docker-hub/library/open"} {
		if err := f.db.Blobs.Link(t.Context(), from, digest.Digest(d)); err != nil {
			t.Fatal(err)
		}
	}
	for from, public := range map[string]bool{"docker-hub/acme/secret": false, "docker-hub/library/open": true} {
		if err := f.db.Repositories.SetVisibility(t.Context(), from, public, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for from, status := range map[string]int{"docker-hub/acme/secret": 202, "docker-hub/acme/unknown": 202, "docker-hub/library/open": 201} {
		f.do(request{method: "POST", path: "/v2/demo/taken/blobs/uploads/?mount=" + d + "&from=" + from, user: "-"}).expect(t, status, "")
		f.do(request{method: "POST", path: "/v2/demo/own/blobs/uploads/?mount=" + d + "&from=" + from, user: ""}).expect(t, 201, "")
	}
}

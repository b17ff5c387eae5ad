package distribution_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
)

func TestTheCatalogListsWhatTheCallerMaySee(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	for _, repo := range []string{"demo/b", "demo/a", "demo/c"} {
		f.pushBlob(repo, nil, digest.SHA256)
	}
	for repo, public := range map[string]bool{"docker-hub/library/nginx": true, "docker-hub/acme/secret": false} {
		if err := f.db.Repositories.SetVisibility(t.Context(), repo, public, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.db.Repositories.Create(t.Context(), "docker-hub/acme/unknown"); err != nil {
		t.Fatal(err)
	}
	cached := []string{"docker-hub/acme/secret", "docker-hub/acme/unknown", "docker-hub/library/nginx"}
	for user, want := range map[string][]string{
		"":    append([]string{"demo/a", "demo/b", "demo/c"}, cached...),
		"bob": cached,
		"-":   {"docker-hub/library/nginx"},
	} {
		var got []string
		for path := "/v2/_catalog?n=2"; path != ""; {
			page := f.do(request{method: "GET", path: path, user: user}).expect(t, 200, "")
			list := unmarshal[struct{ Repositories []string }](t, page.body)
			if len(list.Repositories) > 2 {
				t.Fatalf("a page of %d", len(list.Repositories))
			}
			got = append(got, list.Repositories...)
			path, _, _ = strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("user %q (-want +got):\n%s", user, diff)
		}
	}
}

// frugal decides about two things for one request.
type frugal struct{ *authz.Authorizer }

func (f frugal) ForMany() authz.Decide {
	left := 2
	return func(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error) {
		if left == 0 {
			return false, authz.ErrSpent
		}
		left--
		return f.Allowed(ctx, id, action, target)
	}
}

func TestACatalogEndsWhereMoreCannotBeDecidedAndGoesOnFromThere(t *testing.T) {
	f := newFixture(t)
	for _, repo := range []string{"demo/a", "demo/b", "demo/c", "other/a", "other/b"} {
		f.pushBlob(repo, nil, digest.SHA256)
	}
	f.config.Authorizer = frugal{f.access}
	f.Config.Handler = distribution.New(f.config)
	var got [][]string
	for path := "/v2/_catalog"; path != ""; {
		page := f.get(path).expect(t, 200, "")
		got = append(got, unmarshal[struct{ Repositories []string }](t, page.body).Repositories)
		path, _, _ = strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
	}
	if diff := cmp.Diff([][]string{{"demo/a", "demo/b"}, {"demo/c", "other/a"}, {"other/b"}}, got); diff != "" {
		t.Errorf("the pages (-want +got):\n%s", diff)
	}

	asked := "/token?scope=repository:demo/a:pull&scope=repository:demo/b:pull&scope=repository:demo/c:pull"
	granted := unmarshal[struct{ Scope string }](t, f.get(asked).expect(t, 200, "").body).Scope
	if want := "repository:demo/a:pull repository:demo/b:pull"; granted != want {
		t.Errorf("the token is for %q, want %q", granted, want)
	}
}

func (s silent) ForMany() authz.Decide { return s.Allowed }

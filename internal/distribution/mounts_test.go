package distribution_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

func TestAMountNeedsTheRightAndTheScopeToReadTheSource(t *testing.T) {
	f := newFixture(t)
	d := f.pushBlob("demo/app", []byte("hello"), digest.SHA256).String()
	mount := func(token string) response {
		return f.do(request{method: "POST", path: "/v2/demo/other/blobs/uploads/?mount=" + d + "&from=demo/app", token: token})
	}
	mount(f.issue("admin", scope("demo/other", "pull", "push"))).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:demo/other:pull,push repository:demo/app:pull",error="insufficient_scope",error_description="the token does not cover repository:demo/other:pull,push repository:demo/app:pull: ask for one with that scope"`))
	mount(f.issue("admin", scope("demo/other", "pull", "push"), scope("demo/app", "pull"))).expect(t, 201, "")

	f.do(request{method: "POST", path: "/v2/demo/other/blobs/uploads/?mount=" + d + "&from=demo/app", user: "-"}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:demo/other:pull,push repository:demo/app:pull"`))

	f.give("demo", authz.RoleImageBuilder, authz.User("bob"))
	f.config.Authorizer = blind{f.access}
	f.Config.Handler = distribution.New(f.config)
	f.do(request{method: "POST", path: "/v2/demo/third/blobs/uploads/?mount=" + d + "&from=demo/app", user: "bob"}).expect(t, 202, "")
}

// blind keeps bob from seeing demo/app.
type blind struct{ *authz.Authorizer }

func (b blind) Allowed(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error) {
	if id.User == "bob" && target.Repository == "demo/app" {
		return false, nil
	}
	return b.Authorizer.Allowed(ctx, id, action, target)
}

func (b blind) ForMany() authz.Decide { return b.Allowed }

func TestAMountFromWhatIsNoNameIsRefusedOrAnUpload(t *testing.T) {
	f := newFixture(t)
	d := digest.FromString("x")
	for from, status := range map[string]int{
		"..%2Fdemo%2Fapp": 400, "demo%2F%2Fapp": 400, "DEMO%2Fapp": 400, "demo%2Fapp%00": 400, "demo%2F" + strings.Repeat("a", 10_000): 400,
		"app": 202, "": 202, "none%2Fapp": 202,
	} {
		if got := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/?mount=" + d.String() + "&from=" + from}); got.StatusCode != status || len(got.body) > 1000 {
			t.Errorf("from=%.40s: %d %.200s", from, got.StatusCode, got.body)
		}
	}
}

func (silent) Allowed(context.Context, authn.Identity, authz.Action, authz.Target) (bool, error) {
	return false, &authz.UndecidedError{Reason: "the cluster does not answer", Err: errors.New("dial tcp 10.0.0.1:6443: refused")}
}

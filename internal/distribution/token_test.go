package distribution_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/oci"
)

type issued struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
}

func (f *fixture) post(form url.Values) response {
	f.t.Helper()
	return f.do(request{method: "POST", path: "/token", user: "-", body: []byte(form.Encode()), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}})
}

func TestATokenHoldsTheScopesThatAreGranted(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	tests := []struct {
		name, user, query, want string
	}{
		{name: "an administrator gets what is asked for", query: "scope=repository:demo/app:pull,push", want: "repository:demo/app:pull,push"},
		{name: "several scopes in one parameter or more", query: "scope=repository:demo/a:pull+repository:demo/b:pull&scope=repository:demo/c:push", want: "repository:demo/a:pull repository:demo/b:pull repository:demo/c:push"},
		{name: "* is spelled out", query: "scope=repository:demo/app:*", want: "repository:demo/app:pull,push,delete"},
		{name: "the catalog", query: "scope=registry:catalog:*", want: "registry:catalog:*"},
		{name: "what is not granted is left out", user: "bob", query: "scope=repository:demo/app:pull,push&scope=repository:docker-hub/nginx:pull,push", want: "repository:docker-hub/nginx:pull"},
		{name: "a stranger gets what is public", user: "-", query: "scope=repository:demo/app:pull&scope=repository:docker-hub/library/nginx:pull", want: "repository:docker-hub/library/nginx:pull"},
		{name: "none asked for", user: "bob", query: "service=x&account=bob"},
		{name: "names that mean nothing", query: "scope=repository:app:pull&scope=nonsense&scope=repository:Demo/x:pull"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := f.do(request{method: "GET", path: "/token?" + test.query, user: test.user}).expect(t, 200, "").header(t, "Cache-Control", "no-store")
			token := unmarshal[issued](t, got.body)
			if diff := cmp.Diff(test.want, token.Scope); diff != "" {
				t.Errorf("scope (-want +got):\n%s", diff)
			}
			if token.Token == "" || token.Token != token.AccessToken || token.ExpiresIn < 60 || token.RefreshToken != "" {
				t.Errorf("got %+v", token)
			}
			f.do(request{method: "GET", path: "/v2/", token: token.Token}).expect(t, 200, "")
		})
	}
}

// The scope delete stands for two rights: to remove a tag, and to remove the image.
func TestWhoMayRemoveTagsAloneGetsTheScopeToDeleteAndRemovesNoImage(t *testing.T) {
	f := newFixture(t)
	manifest := f.image("demo/app", nil)
	f.pushManifest("demo/app", "v1", manifest).expect(t, 201, "")
	f.pushManifest("demo/app", "v2", manifest).expect(t, 201, "")
	f.give("demo", authz.RoleRegistryViewer, authz.User("bob"))
	ask := func() issued {
		return unmarshal[issued](t, f.do(request{method: "GET", path: "/token?scope=repository:demo/app:delete", user: "bob"}).expect(t, 200, "").body)
	}
	if got := ask(); got.Scope != "" {
		t.Errorf("a viewer gets %q", got.Scope)
	}
	root := authn.Identity{User: "admin", Groups: []string{authn.GroupAuthenticated, authn.GroupMasters}}
	untag := authz.Role{Project: "demo", Name: "untag", Rules: []rbacv1.PolicyRule{{Verbs: []string{"delete"}, APIGroups: []string{"image.openshift.io"}, Resources: []string{"imagestreamtags"}}}}
	if err := f.access.CreateRole(t.Context(), root, untag); err != nil {
		t.Fatal(err)
	}
	f.give("demo", "untag", authz.User("bob"))
	got := ask()
	if got.Scope != "repository:demo/app:delete" {
		t.Errorf("scope = %q", got.Scope)
	}
	f.do(request{method: "DELETE", path: "/v2/demo/app/manifests/v1", token: got.Token}).expect(t, 202, "")
	f.do(request{method: "DELETE", path: "/v2/demo/app/manifests/" + digest.FromBytes(manifest).String(), token: got.Token}).expect(t, 403, oci.CodeDenied)
	f.do(request{method: "GET", path: "/v2/demo/app/manifests/v2"}).expect(t, 200, "")
}

const password = "correct horse battery staple"

// withPassword gives the administrator a password beside the access token.
func withPassword(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	if _, err := f.auth.SetPassword(t.Context(), "admin", password); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAWrongPasswordGetsNoToken(t *testing.T) {
	f := withPassword(t)
	basic := "Basic YWRtaW46d3Jvbmc=" // admin:wrong
	got := f.do(request{method: "GET", path: "/token", user: "-", header: map[string]string{"Authorization": basic}}).expect(t, 401, oci.CodeUnauthorized)
	if details := unmarshal[struct{ Details string }](t, got.body).Details; !strings.Contains(details, "password is wrong") {
		t.Errorf("docker would show %q", details)
	}
	f.do(request{method: "GET", path: "/token", user: "-", header: map[string]string{"Authorization": "Basic !"}}).expect(t, 401, oci.CodeUnauthorized)
	f.post(url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {"wrong"}}).expect(t, 401, oci.CodeUnauthorized)
	f.post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"nonsense"}}).expect(t, 401, oci.CodeUnauthorized)
	f.do(request{method: "GET", path: "/v2/", user: "-", header: map[string]string{"Authorization": basic}}).expect(t, 401, oci.CodeUnauthorized)
}

func TestDockerIsToldToWaitAfterTooManyWrongPasswords(t *testing.T) {
	f := newFixture(t)
	var got response
	for range 11 {
		got = f.do(request{method: "GET", path: "/token", user: "-", header: map[string]string{"Authorization": "Basic YWxpY2U6d3Jvbmc="}})
	}
	got.expect(t, 429, oci.CodeTooManyRequests)
	if got.Header.Get("Retry-After") == "" || !strings.Contains(string(got.body), "too many wrong passwords were tried from your address") {
		t.Errorf("body = %s", got.body)
	}
}

func TestAClientCanKeepARefreshTokenInPlaceOfThePassword(t *testing.T) {
	f := withPassword(t)
	form := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {password}, "scope": {"repository:demo/app:pull"}, "service": {"registry"}}
	if token := unmarshal[issued](t, f.post(form).expect(t, 200, "").body); token.RefreshToken != "" {
		t.Error("a refresh token came unasked")
	}
	form.Set("access_type", "offline")
	first := unmarshal[issued](t, f.post(form).expect(t, 200, "").body)
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.RefreshToken}, "access_type": {"offline"}, "scope": {"repository:demo/app:pull,push"}}
	second := unmarshal[issued](t, f.post(refresh).expect(t, 200, "").body)
	if second.Scope != "repository:demo/app:pull,push" || second.RefreshToken != first.RefreshToken {
		t.Errorf("got scope %q and another refresh token: %v", second.Scope, second.RefreshToken != first.RefreshToken)
	}
	tokens, err := f.db.Tokens.List(t.Context(), "admin")
	if err != nil || len(tokens) != 2 { // one is the fixture's
		t.Fatalf("%d access tokens, %v", len(tokens), err)
	}
	for _, token := range tokens {
		if err := f.auth.RevokeToken(t.Context(), token.ID); err != nil {
			t.Fatal(err)
		}
	}
	f.do(request{method: "GET", path: "/v2/", token: second.Token}).expect(t, 401, oci.CodeUnauthorized)
}

func TestATokenRequestIsBounded(t *testing.T) {
	f := newFixture(t)
	f.post(url.Values{"grant_type": {"password"}, "padding": {strings.Repeat("x", 70_000)}}).expect(t, 413, oci.CodeTooLarge)
	f.post(url.Values{"grant_type": {"authorization_code"}}).expect(t, 400, "REQUEST_INVALID")
	f.do(request{method: "PUT", path: "/token"}).expect(t, 405, oci.CodeUnsupported).header(t, "Allow", "GET, POST")
	f.do(request{method: "GET", path: "/token?" + strings.Repeat("scope=repository:a/b:pull&", 65)}).expect(t, 400, "REQUEST_INVALID")
}

package distribution_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// challenge is the WWW-Authenticate header that the fixture sends.
func (f *fixture) challenge(parameters string) string {
	host := strings.TrimPrefix(f.URL, "http://")
	return fmt.Sprintf(`Bearer realm="%s/token",service="%s"%s`, f.URL, host, parameters)
}

// issue makes a registry token for a user.
func (f *fixture) issue(user string, access ...authn.Access) string {
	f.t.Helper()
	id, credential := authn.Anonymous(), authn.Credential{}
	if user != "" {
		var err error
		if id, credential, err = f.auth.Basic(f.t.Context(), user, f.secrets[user], netip.Addr{}); err != nil {
			f.t.Fatal(err)
		}
	}
	token, _, err := f.auth.Issue(f.t.Context(), id, credential, access, time.Minute)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func scope(name string, actions ...string) authn.Access {
	return authn.Access{Type: authn.TypeRepository, Name: name, Actions: actions}
}

func TestTheBaseAlwaysChallenges(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	f.do(request{method: "GET", path: "/v2/", user: "-"}).expect(t, 401, oci.CodeUnauthorized).header(t, "WWW-Authenticate", f.challenge(""))
	f.do(request{method: "GET", path: "/v2/", token: "nonsense"}).expect(t, 401, oci.CodeUnauthorized).header(t, "WWW-Authenticate", f.challenge(`,error="invalid_token",error_description="the token is not valid here, or it was revoked"`))
	f.do(request{method: "GET", path: "/v2/", user: "-", header: map[string]string{"Authorization": "Basic eA=="}}).expect(t, 401, oci.CodeUnauthorized)
	f.do(request{method: "GET", path: "/v2/", user: "-", header: map[string]string{"Authorization": "Digest x"}}).expect(t, 401, oci.CodeUnauthorized)
	f.do(request{method: "GET", path: "/v2/", user: "bob"}).expect(t, 200, "")
	f.do(request{method: "GET", path: "/v2/", token: f.issue("bob")}).expect(t, 200, "")
	f.do(request{method: "GET", path: "/v2/docker-hub/library/nginx/manifests/latest", user: "-"}).expect(t, 200, "")
}

func TestWhatIsMissingAndWhatIsForbiddenAnswerTheSame(t *testing.T) {
	f := newFixture(t)
	content := f.image("demo/app", nil)
	f.pushManifest("demo/app", "v1", content).expect(t, 201, "")
	d := digest.FromBytes(content).String()
	normal := func(r response, name string) string {
		text := fmt.Sprint(r.StatusCode, r.Header.Get("WWW-Authenticate"), string(r.body))
		project, _, _ := strings.Cut(name, "/")
		return strings.ReplaceAll(strings.ReplaceAll(text, name, "NAME"), project, "PROJECT")
	}
	for _, user := range []string{"-", "bob"} {
		for _, q := range []request{
			{method: "GET", path: "/manifests/v1"}, {method: "GET", path: "/manifests/" + d}, {method: "HEAD", path: "/manifests/v1"},
			{method: "GET", path: "/blobs/" + d}, {method: "GET", path: "/tags/list"}, {method: "GET", path: "/referrers/" + d},
			{method: "PUT", path: "/manifests/v1", body: content}, {method: "POST", path: "/blobs/uploads/"},
			{method: "DELETE", path: "/manifests/v1"}, {method: "GET", path: "/blobs/uploads/0b2c8f6e-8c3e-4b0a-9a52-0123456789ab"},
		} {
			var answers []string
			for _, name := range []string{"demo/app", "demo/nowhere", "nowhere/app"} {
				asked := q
				asked.user, asked.path = user, "/v2/"+name+q.path
				got := f.do(asked)
				if want := map[string]int{"-": 401, "bob": 404}[user]; got.StatusCode != want && q.method != "PUT" && q.method != "POST" && !strings.Contains(q.path, "uploads") {
					t.Errorf("%s %s answered %s %s", q.method, asked.path, user, got.Status)
				}
				answers = append(answers, normal(got, name))
			}
			if answers[0] != answers[1] || answers[0] != answers[2] {
				t.Errorf("%s %s tells user %s what exists:\n%s", q.method, q.path, user, strings.Join(answers, "\n"))
			}
		}
	}
}

func TestAPushThatIsRefusedSaysWhatToDo(t *testing.T) {
	f := newFixture(t)
	got := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	want := "project demo does not exist or you may not push to it; its owner can run larder policy add-role-to-user system:image-pusher bob -n demo"
	if !bytes.Contains(got.body, []byte(want+`"`)) {
		t.Errorf("got %s", got.body)
	}
	f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", user: "-"}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:demo/app:pull,push"`))
}

func TestWhoShowsABadCredentialIsAskedForAllThatTheRequestTakes(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ method, path, scope string }{
		{"GET", "/manifests/v1", "repository:demo/app:pull"},
		{"PUT", "/manifests/v1", "repository:demo/app:pull,push"},
		{"POST", "/blobs/uploads/", "repository:demo/app:pull,push"},
		{"POST", "/blobs/uploads/?mount=" + digest.FromString("").String() + "&from=shop/base", "repository:demo/app:pull,push repository:shop/base:pull"},
		{"DELETE", "/manifests/v1", "repository:demo/app:delete"},
	} {
		asked := request{method: c.method, path: "/v2/demo/app" + c.path}
		asked.token = "nonsense"
		f.do(asked).expect(t, 401, oci.CodeUnauthorized).header(t, "WWW-Authenticate",
			f.challenge(`,scope="`+c.scope+`",error="invalid_token",error_description="the token is not valid here, or it was revoked"`))
		asked.token, asked.user, asked.header = "", "-", map[string]string{"Authorization": "Digest x"}
		f.do(asked).expect(t, 401, oci.CodeUnauthorized).header(t, "WWW-Authenticate", f.challenge(`,scope="`+c.scope+`"`))
	}
}

// give lets admin give a role to a user or a group; in all projects when project is "".
func (f *fixture) give(project, role string, to authz.Subject) {
	f.t.Helper()
	root := authn.Identity{User: "admin", Groups: []string{authn.GroupAuthenticated, authn.GroupMasters}}
	_, err := f.access.Grant(f.t.Context(), root, authz.Grant{Project: project, Role: role, Subjects: []authz.Subject{to}})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestAMemberGetsTheExactMissingRightAndTheLineThatGivesIt(t *testing.T) {
	for _, test := range []struct {
		role, missing, grant string
		request              request
	}{
		{"registry-viewer", "update imagestreams/layers", "system:image-pusher", request{method: "POST", path: "/v2/demo/app/blobs/uploads/"}},
		{"registry-viewer", "delete imagestreamtags", "registry-editor", request{method: "DELETE", path: "/v2/demo/app/manifests/v1"}},
		{"registry-viewer", "delete imagestreams", "registry-editor", request{method: "DELETE", path: "/v2/demo/app/manifests/" + digest.FromString("x").String()}},
		{"system:image-puller", "update imagestreams/layers", "system:image-pusher", request{method: "POST", path: "/v2/demo/app/blobs/uploads/"}},
		{"system:image-pusher", "create imagestreams", "system:image-builder", request{method: "POST", path: "/v2/demo/new/blobs/uploads/"}},
		{"system:image-pusher", "create imagestreams", "system:image-builder", request{method: "PUT", path: "/v2/demo/new/manifests/v1", body: []byte("{}")}},
	} {
		t.Run(test.role+" "+test.request.method, func(t *testing.T) {
			f := newFixture(t)
			f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
			f.give("demo", test.role, authz.User("bob"))
			test.request.user = "bob"
			got := f.do(test.request).expect(t, 403, oci.CodeDenied)
			for _, text := range []string{test.missing + " in project demo", "larder policy add-role-to-user " + test.grant + " bob -n demo"} {
				if !bytes.Contains(got.body, []byte(text)) {
					t.Errorf("%q is not said in %s", text, got.body)
				}
			}
			f.give("demo", test.grant, authz.User("bob"))
			if got := f.do(test.request); got.StatusCode == http.StatusForbidden {
				t.Errorf("with the role it is refused still: %s", got.body)
			}
		})
	}
}

func TestAPusherPushesToWhatExistsAndABuilderMakesIt(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	f.give("demo", authz.RoleImagePusher, authz.User("bob"))
	f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")
	f.do(request{method: "POST", path: "/v2/demo/new/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	if exists, err := f.hosted.RepositoryExists(t.Context(), "demo/new"); exists || err != nil {
		t.Errorf("the refused push made the repository: %v, %v", exists, err)
	}
	f.give("demo", authz.RoleImageBuilder, authz.User("bob"))
	f.do(request{method: "POST", path: "/v2/demo/new/blobs/uploads/", user: "bob"}).expect(t, 202, "")
}

func TestOnlyTheNameOfAnOpenRepositoryIsKnown(t *testing.T) {
	f := newFixture(t)
	content := f.image("demo/app", nil)
	for _, repo := range []string{"demo/app", "demo/secret"} {
		f.pushManifest(repo, "v1", f.image(repo, nil)).expect(t, 201, "")
	}
	role := authz.Role{Project: "demo", Name: "one", Rules: []rbacv1.PolicyRule{{
		Verbs: []string{"get"}, APIGroups: []string{"image.openshift.io"}, Resources: []string{"imagestreams/layers"}, ResourceNames: []string{"app"},
	}}}
	if err := f.access.CreateRole(t.Context(), authn.Identity{User: "admin", Groups: []string{authn.GroupMasters}}, role); err != nil {
		t.Fatal(err)
	}
	f.give("demo", "one", authz.User("system:anonymous"))
	for _, user := range []string{"-", "bob"} {
		f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1", user: user}).expect(t, 200, "")
		f.do(request{method: "GET", path: "/v2/demo/app/blobs/" + configOf(t, content), user: user}).expect(t, 200, "")
	}
	f.do(request{method: "GET", path: "/v2/demo/secret/manifests/v1", user: "-"}).expect(t, 401, oci.CodeUnauthorized)
	f.do(request{method: "GET", path: "/v2/demo/secret/manifests/v1", user: "bob"}).expect(t, 404, oci.CodeNameUnknown)
	page := f.do(request{method: "GET", path: "/v2/_catalog", user: "-"}).expect(t, 200, "")
	if !bytes.Contains(page.body, []byte(`["demo/app"]`)) {
		t.Errorf("strangers are told of %s", page.body)
	}
}

func TestATokenThatIsLimitedIsNamedAsTheReason(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	f.give("demo", authz.RoleRegistryEditor, authz.User("bob"))
	limit, err := authn.NewCap([]string{"read"}, []string{"demo/app"})
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := f.auth.CreateToken(t.Context(), authn.NewToken{User: "bob", Life: time.Hour, Cap: limit})
	if err != nil {
		t.Fatal(err)
	}
	f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1", token: secret}).expect(t, 200, "")
	got := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", token: secret}).expect(t, 403, oci.CodeDenied)
	if !bytes.Contains(got.body, []byte("with the access token that you show")) {
		t.Errorf("it is not said that the token is the reason: %s", got.body)
	}
	f.do(request{method: "GET", path: "/v2/demo/other/manifests/v1", token: secret}).expect(t, 404, oci.CodeNameUnknown)
}

func TestATokenCapsWhatMayBeDone(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	pull := f.issue("admin", scope("demo/app", "pull"), scope("docker-hub/nginx", "pull"))
	f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1", token: pull}).expect(t, 200, "")
	f.do(request{method: "GET", path: "/v2/docker-hub/nginx/manifests/v1", token: pull}).expect(t, 200, "")
	f.do(request{method: "GET", path: "/v2/demo/other/manifests/v1", token: pull}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:demo/other:pull",error="insufficient_scope",error_description="the token does not cover repository:demo/other:pull: ask for one with that scope"`))
	f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", token: pull}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:demo/app:pull,push",error="insufficient_scope",error_description="the token does not cover repository:demo/app:pull,push: ask for one with that scope"`))
	f.do(request{method: "DELETE", path: "/v2/demo/app/manifests/v1", token: pull}).expect(t, 401, oci.CodeUnauthorized)
	// With ns a name is the upstream's own, and a token for what is called so here is none for it.
	upstreams := f.issue("admin", scope("docker-hub/library/nginx", "pull"))
	f.do(request{method: "GET", path: "/v2/library/nginx/manifests/v1?ns=docker.io", token: upstreams}).expect(t, 200, "")
	f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1?ns=docker.io", token: pull}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:docker-hub/demo/app:pull",error="insufficient_scope",error_description="the token does not cover repository:docker-hub/demo/app:pull: ask for one with that scope"`))
	f.do(request{method: "GET", path: "/v2/_catalog", token: pull}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="registry:catalog:*",error="insufficient_scope",error_description="the token does not cover registry:catalog:*: ask for one with that scope"`))
}

// The image that tells how many pulls are left is open to everybody, and stays what it is.
func TestNobodyChangesTheImageThatTellsTheLimit(t *testing.T) {
	f := newFixture(t)
	const manifest = "/v2/ratelimitpreview/test/manifests/latest"
	f.do(request{method: "GET", path: manifest, user: "-"}).expect(t, 200, "")
	for _, q := range []request{
		{method: "POST", path: "/v2/ratelimitpreview/test/blobs/uploads/"}, {method: "PUT", path: manifest, body: []byte("{}")}, {method: "DELETE", path: manifest},
	} {
		for user, status := range map[string][]int{"-": {401}, "bob": {403, 404, 405}, "": {400, 404, 405}} {
			q.user = user
			if got := f.do(q); !slices.Contains(status, got.StatusCode) {
				t.Errorf("%s by %q: %d %s", q.method, user, got.StatusCode, got.body)
			}
		}
	}
	f.do(request{method: "GET", path: manifest, user: "-"}).expect(t, 200, "")
}

func TestATokenGrantsNothingBeyondTheRights(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	token := f.issue("bob", authn.Everything()...)
	f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1", token: token}).expect(t, 404, oci.CodeNameUnknown)
	stranger := f.issue("", authn.Everything()...)
	f.do(request{method: "GET", path: "/v2/demo/app/manifests/v1", token: stranger}).expect(t, 401, oci.CodeUnauthorized)
}

// silent is an authorizer that asks somebody who does not answer.
type silent struct{}

func (silent) GrantCommand(string, authz.Action, authz.Target) string { return "" }

func TestNothingIsOpenedAndNothingDeniedWhileNobodyCanDecide(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	f.config.Authorizer = silent{}
	f.Config.Handler = distribution.New(f.config)
	for _, user := range []string{"admin", "bob", "-"} {
		for _, q := range []request{
			{method: "GET", path: "/v2/demo/app/manifests/v1"},
			{method: "POST", path: "/v2/demo/app/blobs/uploads/"},
			{method: "DELETE", path: "/v2/demo/app/manifests/v1"},
			{method: "GET", path: "/v2/_catalog"},
			{method: "GET", path: "/token?scope=repository:demo/app:pull"},
		} {
			q.user = user
			got := f.do(q).expect(t, 503, oci.CodeUnavailable)
			if !bytes.Contains(got.body, []byte("the cluster does not answer")) || bytes.Contains(got.body, []byte("10.0.0.1")) {
				t.Errorf("%s %s answered %s: %s", q.method, q.path, user, got.body)
			}
		}
	}
}

package distribution_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/metadata"
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

// configOf is the digest of an image's configuration.
func configOf(t *testing.T, manifest []byte) string {
	t.Helper()
	return unmarshal[struct{ Config struct{ Digest string } }](t, manifest).Config.Digest
}

func TestAFirstPushMakesThePushersOwnProjectAndNoOther(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	refused := f.do(request{method: "POST", path: "/v2/carol/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	missing := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	if string(bytes.ReplaceAll(refused.body, []byte("carol"), []byte("demo"))) != string(missing.body) {
		t.Errorf("bob learns which projects there are:\n%s\n%s", refused.body, missing.body)
	}
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")
	if p, err := f.db.Projects.Get(t.Context(), "bob"); err != nil || p.Creator != "bob" {
		t.Errorf("the project is %+v, %v", p, err)
	}
	id := authn.Identity{User: "bob", Groups: []string{authn.GroupAuthenticated}}
	if may, err := f.access.Allowed(t.Context(), id, authz.CreateRoleBinding, authz.Target{Project: "bob"}); !may || err != nil {
		t.Errorf("bob does not own it: %v, %v", may, err)
	}
	if err := f.access.SetSelfProvision(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	f.do(request{method: "POST", path: "/v2/bob/other/blobs/uploads/", user: "bob"}).expect(t, 202, "")
}

func TestTheTokenThatAFirstPushBeginsWithLooksForWhatItPushed(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	answer := f.do(request{method: "GET", path: "/token?scope=repository:bob/app:pull,push&scope=repository:carol/app:pull,push", user: "bob"}).expect(t, 200, "")
	token := unmarshal[struct{ Token, Scope string }](t, answer.body)
	if token.Scope != "repository:bob/app:pull,push" {
		t.Errorf("the token is for %q", token.Scope)
	}
	absent := "/v2/bob/app/blobs/" + digest.FromString("not pushed").String()
	f.do(request{method: "GET", path: "/v2/bob/app/referrers/" + digest.FromString("not pushed").String(), user: "bob"}).expect(t, 404, oci.CodeNameUnknown)
	f.do(request{method: "HEAD", path: absent, token: token.Token}).expect(t, 404, "")
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", token: token.Token}).expect(t, 202, "")
	f.do(request{method: "HEAD", path: absent, token: token.Token}).expect(t, 404, "")
}

// elsewhere is another server's view of the same database.
func (f *fixture) elsewhere() *authz.Authorizer {
	f.t.Helper()
	other, err := authz.Open(f.t.Context(), authz.Config{Roles: f.db.Roles, RoleBindings: f.db.RoleBindings, Projects: f.db.Projects})
	if err != nil {
		f.t.Fatal(err)
	}
	return other
}

// overtaken is asked to make a project that another request of the same push has made in
// the same instant at another server.
type overtaken struct {
	distribution.ProjectMaker
	other distribution.ProjectMaker
}

func (o overtaken) MakeProject(ctx context.Context, id authn.Identity, p metadata.Project) error {
	if err := o.other.MakeProject(ctx, id, p); err != nil {
		return err
	}
	return o.ProjectMaker.MakeProject(ctx, id, p)
}

func TestOneFirstPushThatSendsLayersAtOnceIsNotRefusedInItsOwnProject(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	other := f.elsewhere()
	bob, carol := authn.Identity{User: "bob"}, authn.Identity{User: "carol"}
	f.config.Projects = overtaken{f.access, other}
	f.Config.Handler = distribution.New(f.config)
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")

	// It was made before the request was looked at, and its owner is not known of here yet.
	f = newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	other = f.elsewhere()
	for _, id := range []authn.Identity{bob, carol} {
		if err := other.MakeProject(t.Context(), id, metadata.Project{Name: id.User, Kind: metadata.Hosted, Creator: id.User}); err != nil {
			t.Fatal(err)
		}
	}
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")
	f.do(request{method: "POST", path: "/v2/carol/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
}

func TestWhereAClusterDecidesARefusedPushIsDecidedOnce(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	carol := authn.Identity{User: "carol"}
	if err := f.access.MakeProject(t.Context(), carol, metadata.Project{Name: "bob", Kind: metadata.Hosted, Creator: carol.User}); err != nil {
		t.Fatal(err)
	}
	f.config.Reload = nil
	f.Config.Handler = distribution.New(f.config)
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
}

// slower is asked to make a project of which somebody else has become the owner meanwhile.
type slower struct{ distribution.ProjectMaker }

func (s slower) MakeProject(ctx context.Context, _ authn.Identity, p metadata.Project) error {
	p.Creator = "carol"
	carol := authn.Identity{User: p.Creator, Groups: []string{authn.GroupAuthenticated}}
	if err := s.ProjectMaker.MakeProject(ctx, carol, p); err != nil {
		return err
	}
	return fmt.Errorf("making it: %w", metadata.ErrExists)
}

func TestWhoIsSlowerToMakeAProjectPushesNothingIntoTheOtherOnes(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	config := f.config
	config.Projects = slower{f.access}
	f.Config.Handler = distribution.New(config)
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	if exists, err := f.hosted.RepositoryExists(t.Context(), "bob/app"); exists || err != nil {
		t.Errorf("the refused push made the repository: %v, %v", exists, err)
	}
	// An administrator may push there all the same.
	f.do(request{method: "POST", path: "/v2/carols/app/blobs/uploads/"}).expect(t, 202, "")
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

func TestTheFirstPushOfAnAdministratorMakesTheProject(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("new/app", "v1", f.image("new/app", nil)).expect(t, 201, "")
	if p, err := f.db.Projects.Get(t.Context(), "new"); err != nil || p.Creator != "admin" {
		t.Errorf("the project is %+v, %v", p, err)
	}
	f.do(request{method: "POST", path: "/v2/auth/app/blobs/uploads/"}).expect(t, 400, oci.CodeNameInvalid)
	f.do(request{method: "POST", path: "/v2/app/blobs/uploads/"}).expect(t, 400, oci.CodeNameInvalid)
}

func TestACacheProjectTakesNoPushes(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	for _, q := range []request{
		{method: "POST", path: "/v2/docker-hub/library/nginx/blobs/uploads/"},
		{method: "PUT", path: "/v2/docker-hub/nginx/manifests/latest", body: []byte("{}")},
		{method: "PATCH", path: "/v2/docker-hub/nginx/blobs/uploads/0b2c8f6e-8c3e-4b0a-9a52-0123456789ab"},
	} {
		if got := f.do(q).expect(t, 405, oci.CodeUnsupported); !bytes.Contains(got.body, []byte("demo/nginx")) {
			t.Errorf("no hosted project is named: %s", got.body)
		}
		q.user = "bob"
		if got := f.do(q).expect(t, 405, oci.CodeUnsupported); !bytes.Contains(got.body, []byte("larder new-project")) {
			t.Errorf("it is not said what to do: %s", got.body)
		}
		q.user = "-"
		f.do(q).expect(t, 401, oci.CodeUnauthorized)
	}
}

func TestStrangersPullFromCachesOnlyFromTheAddressesThatMay(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	f.config.Strangers = func(*http.Request) bool { return false }
	f.Config.Handler = distribution.New(f.config)
	const path = "/v2/docker-hub/library/nginx/manifests/latest"
	f.do(request{method: "GET", path: path, user: "-"}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:docker-hub/library/nginx:pull"`))
	f.do(request{method: "GET", path: path, user: "bob"}).expect(t, 200, "")
	// Nor do they learn from lists what is there.
	if err := f.db.Repositories.SetVisibility(t.Context(), "docker-hub/library/nginx", true, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"/v2/_catalog", "/v1/search?q=nginx"} {
		for user, told := range map[string]bool{"-": false, "bob": true} {
			got := f.do(request{method: "GET", path: list, user: user}).expect(t, 200, "")
			if bytes.Contains(got.body, []byte("docker-hub/library/nginx")) != told {
				t.Errorf("%s tells %q %s", list, user, got.body)
			}
		}
	}
}

func TestACacheTellsHowAnAnswerWasComeBy(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	ttl := -5 * time.Second
	cache.served = oci.Served{
		Cache: &oci.CacheStatus{Hit: true, TTL: &ttl, Detail: "stale-if-error"}, Warning: "stale", Age: 65 * time.Second,
	}
	check := func(r response) {
		t.Helper()
		r.header(t, "Cache-Status", "larder; hit; ttl=-5; detail=stale-if-error").header(t, "Warning", `299 - "stale"`).
			header(t, "Age", "65")
	}
	check(f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, 200, ""))
	check(f.do(request{method: "HEAD", path: "/v2/docker-hub/nginx/manifests/latest"}).expect(t, 200, ""))
	for code, status := range map[oci.Code]int{
		oci.CodeManifestUnknown: 404, oci.CodeUpstreamInvalid: 502, oci.CodeUpstreamDown: 503, oci.CodeUpstreamTimeout: 504,
		oci.CodeTooManyRequests: 429, oci.CodeInsufficientSpace: 507, oci.CodeDenied: 403, oci.CodeUnknown: 500,
	} {
		cache.err = &oci.Error{Code: code, Message: "no"}
		check(f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, status, code))
	}
	cache.err = fmt.Errorf("asking: %w", &oci.Error{Code: oci.CodeUnauthorized, Message: "log in"})
	f.do(request{method: "GET", path: "/v2/docker-hub/nginx/manifests/latest", user: "-"}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:docker-hub/library/nginx:pull"`))
	cache.err = fmt.Errorf("a secret of the inside")
	if got := f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, 500, oci.CodeUnknown); bytes.Contains(got.body, []byte("secret")) {
		t.Errorf("a fault of the inside is told outside: %s", got.body)
	}
}

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

// silent is an authorizer that asks somebody who does not answer.
type silent struct{}

func (silent) Allowed(context.Context, authn.Identity, authz.Action, authz.Target) (bool, error) {
	return false, &authz.UndecidedError{Reason: "the cluster does not answer", Err: errors.New("dial tcp 10.0.0.1:6443: refused")}
}

func (s silent) ForMany() authz.Decide { return s.Allowed }

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

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit/kubetest"
)

// imports takes an image into a project's repository app.
func (s *stack) imports(r request, project, from string, scheduled bool) api.Import {
	s.t.Helper()
	r.method, r.path = http.MethodPost, "/api/v1/projects/"+project+"/repositories/app/imports"
	r.body = fmt.Sprintf(`{"tag":"1","from":%q,"scheduled":%v,"create":true}`, from, scheduled)
	got := s.send(r)
	lines := strings.Split(strings.TrimSpace(string(got.body)), "\n")
	var last api.ImportLine
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Import == nil {
		s.t.Fatalf("importing %s: %d %s", from, got.status, got.body)
	}
	return *last.Import
}

// followed lets the time pass until the import of demo/app:1 has been followed.
func (s *stack) followed() api.Import {
	s.t.Helper()
	var is api.Import
	since := s.clock.Now()
	s.clock.Pass(16 * time.Minute)
	s.eventually("the source is followed", func() bool {
		var list api.ImportList
		s.read("/api/v1/projects/demo/repositories/app/imports", &list)
		is = list.Items[0]
		return is.CheckedAt.After(since)
	})
	return is
}

// asAccounts are the accounts that the Hub was asked as since the last call, each once; ""
// is a stranger.
func (s *stack) asAccounts() (accounts []string) {
	for _, r := range s.hub.Requests() {
		if r.Service != hubsim.CDN && !slices.Contains(accounts, r.Account) {
			accounts = append(accounts, r.Account)
		}
	}
	s.hub.ResetRequests()
	return accounts
}

// edits gives a user the role edit in demo, and takes it away.
func (s *stack) edits(user string, may bool) {
	s.t.Helper()
	method := http.MethodDelete
	if may {
		method = http.MethodPost
	}
	s.must(method, "/api/v1/projects/demo/grants", fmt.Sprintf(`{"role":"edit","users":[%q]}`, user), nil)
}

// holder makes a user who may push and import the repository demo/app, and nothing else.
func (s *stack) holder(name string) (token string) {
	s.t.Helper()
	s.must("POST", "/api/v1/projects/demo/roles", `{"name":"app","rules":[
		{"verbs":["create"],"resources":["imagestreamimports"],"resourceNames":["app"]},
		{"verbs":["get","update"],"resources":["imagestreams","imagestreams/layers"],"resourceNames":["app"]},
		{"verbs":["get"],"resources":["projects"]}]}`, nil)
	token = s.user(name)
	s.must("POST", "/api/v1/projects/demo/grants", fmt.Sprintf(`{"role":"app","users":[%q]}`, name), nil)
	return token
}

// failing fails the test unless an import failed for want of a credential and says this.
func failing(t *testing.T, when string, is api.Import, says string) {
	t.Helper()
	if len(is.Conditions) != 1 || is.Conditions[0].Reason != "Unauthorized" || !strings.Contains(is.Conditions[0].Message, says) {
		t.Errorf("%s: the import is %+v, want Unauthorized and %q", when, is, says)
	}
}

func going(t *testing.T, when string, is api.Import, want hubsim.Pushed, message string) {
	t.Helper()
	if is.Digest != want.Digest || len(is.Conditions) != 1 || is.Conditions[0] != (api.ImportCondition{Type: "ImportSuccess", Status: "True", Message: message}) {
		t.Errorf("%s: the import is %+v, want %s and the message %q", when, is, want.Digest, message)
	}
}

const privateApp = "docker.io/acme/app:1"

func TestAMembersImportIsReadAndPaidForByTheProjectsOwnCredential(t *testing.T) {
	s, _, _, app := lending(t)
	alice := s.user("alice")
	s.edits("alice", true)
	s.hub.ResetRequests()
	going(t, "a private image", s.imports(request{token: alice}, "demo", privateApp, false), app, "")
	var saw []string
	for _, r := range s.hub.Requests() {
		saw = append(saw, r.Account+": "+r.String())
	}
	config, layer := app.Manifests[0].Config.Digest.String(), app.Manifests[0].Layers[0].Digest.String()
	want := []string{
		": GET /v2/ 401", "acme: GET auth/token repository:acme/app:pull 200", "acme: HEAD /v2/acme/app/manifests/1 200", "acme: GET /v2/acme/app/manifests/1 200",
		"acme: GET /v2/acme/app/blobs/" + config + " 307", ": GET cdn/" + config + " 200", "acme: GET /v2/acme/app/blobs/" + layer + " 307", ": GET cdn/" + layer + " 200",
	}
	slices.Sort(saw[min(4, len(saw)):]) // blobs are fetched at once
	slices.Sort(want[4:])
	if diff := cmp.Diff(want, saw); diff != "" {
		t.Errorf("what the Hub saw (-want +got):\n%s", diff)
	}
	if s.pulls("acme") != 1 || s.pulls("all")+s.pulls("bob")+s.pulls("") != 0 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
	s.send(request{path: "/v2/demo/app/manifests/1", token: alice}).is(t, app.Digest)
	for _, c := range s.calls() {
		if c.Credential != "demo/acme" && c.Kind != "base" || c.User != "alice" || c.Project != "demo" {
			t.Errorf("the ledger has %+v", c)
		}
	}
	// What everybody may see is paid for by the project, too, as in a pull.
	public := s.hub.AddImage("library/nginx", "1", small(8))
	going(t, "a public image", s.imports(request{token: alice}, "demo", "nginx:1", false), public, "")
	if s.pulls("acme") != 2 || s.pulls("all") != 0 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
}

func TestNobodyButAMemberImportsWithAProjectsOwnCredential(t *testing.T) {
	s, _, shop, _ := lending(t)
	public := s.hub.AddImage("library/nginx", "1", small(8))
	carol := s.holder("carol")
	s.must("POST", "/api/v1/projects/demo/grants", `{"role":"registry-editor","users":["system:serviceaccount:shop:ci"]}`, nil)
	for who, r := range map[string]request{
		"who holds a single image":          {token: carol},
		"another project's service account": {token: shop}, "the admin": {admin: true},
	} {
		t.Run(who, func(t *testing.T) {
			s.hub.ResetRequests()
			for range 2 { // and so it is when the repository is known
				failing(t, who, s.imports(r, "demo", privateApp, false), "those of project demo itself are for its members who may import into all of it, which ")
			}
			going(t, who, s.imports(r, "demo", "nginx:1", false), public, "")
			if s.pulls("all") != 1 {
				t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
			}
			if as := s.asAccounts(); slices.Contains(as, "acme") {
				t.Errorf("the Hub was asked as %q", as)
			}
		})
	}
}

func TestAMemberOfTwoProjectsImportsWithTheCredentialOfTheOneThatTheImageIsFor(t *testing.T) {
	s, _, _, app := lending(t)
	alice := s.user("alice")
	s.edits("alice", true)
	s.must("POST", "/api/v1/projects/shop/grants", `{"role":"edit","users":["alice"]}`, nil)
	failing(t, "into shop", s.imports(request{token: alice}, "shop", privateApp, false), "the credentials of project shop itself, then with those that serve everybody")
	if as := s.asAccounts(); slices.Contains(as, "acme") {
		t.Errorf("the Hub was asked as %q", as)
	}
	going(t, "into demo", s.imports(request{token: alice}, "demo", privateApp, false), app, "")
}

func TestAScheduledImportIsFollowedByTheProjectsCredentialWhileWhoSetItIsAMember(t *testing.T) {
	s, _, _, _ := lending(t)
	alice := s.user("alice")
	s.edits("alice", true)
	s.imports(request{token: alice}, "demo", privateApp, true)
	moved := s.hub.AddImage("acme/app", "1", small(11))
	s.hub.ResetRequests()
	going(t, "a member's", s.followed(), moved, "")
	if s.pulls("acme") != 1 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
	if as := s.asAccounts(); !slices.Equal(as, []string{"acme"}) {
		t.Errorf("the Hub was asked as %q", as)
	}
	for _, c := range s.calls()[:1] { // the newest
		if c.Credential != "demo/acme" || c.User != "system:larder" || c.Project != "demo" {
			t.Errorf("the ledger has %+v", c)
		}
	}
	last := s.hub.AddImage("acme/app", "1", small(12))
	const gone = "the credentials of project demo itself for docker-hub are not used, since alice, who set this import, is no member of the project now"
	closed := func(when, says string) {
		t.Helper()
		s.restart() // nothing is in memory
		s.hub.ResetRequests()
		is := s.followed()
		failing(t, when, is, says)
		if as := s.asAccounts(); slices.Contains(as, "acme") || is.Digest != moved.Digest {
			t.Errorf("%s: the Hub was asked as %q, and the tag is %s", when, as, is.Digest)
		}
		s.send(request{path: "/v2/demo/app/manifests/1", admin: true}).is(t, moved.Digest)
	}
	s.edits("alice", false)
	closed("who set it is a member no more", gone)
	s.must("POST", "/api/v1/projects/demo/grants", `{"role":"registry-viewer","users":["alice"]}`, nil)
	closed("who set it may only look", gone)

	s.edits("alice", true)
	s.must("DELETE", "/api/v1/projects/demo/credentials/docker-hub/acme", "", nil)
	closed("the credential is gone", "project demo has no credential of its own for it: its admins can run larder upstream credential add docker-hub --project demo")
	s.lends("demo", "acme", "acme-secret")
	going(t, "a member's again", s.followed(), last, "")

	moved = last
	s.hub.AddImage("acme/app", "1", small(13))
	s.must("DELETE", "/api/v1/users/alice", "", nil)
	closed("who set it is deleted", gone)
}

func TestAPublicImageIsFollowedByEverybodysCredentialOnceWhoSetItIsNoMemberAndItIsTold(t *testing.T) {
	s, _, _, _ := lending(t)
	alice := s.user("alice")
	s.edits("alice", true)
	s.hub.AddImage("library/nginx", "1", small(8))
	s.imports(request{token: alice}, "demo", "nginx:1", true)
	s.edits("alice", false)
	moved := s.hub.AddImage("library/nginx", "1", small(9))
	s.hub.ResetRequests()
	going(t, "no member's", s.followed(), moved,
		"the credentials of project demo itself for docker-hub are not used, since alice, who set this import, is no member of the project now: a member can set it again")
	if as := s.asAccounts(); !slices.Equal(as, []string{"all"}) {
		t.Errorf("the Hub was asked as %q", as)
	}
}

// Who may import one image does not take a member's import over with what it opened.
func TestAnImportIsNoMembersAnyMoreOnceAnotherHasSetIt(t *testing.T) {
	s, _, _, app := lending(t)
	alice, carol := s.user("alice"), s.holder("carol")
	s.edits("alice", true)
	going(t, "a member's", s.imports(request{token: alice}, "demo", privateApp, true), app, "")
	const says = "those of project demo itself are for its members who may import into all of it, which carol was not when this import was set"
	s.hub.ResetRequests()
	failing(t, "at once", s.imports(request{token: carol}, "demo", "", true), says)
	s.hub.AddImage("acme/app", "1", small(11))
	failing(t, "followed", s.followed(), says)
	s.edits("carol", true) // it is set again for that to count
	failing(t, "followed later", s.followed(), says)
	if as := s.asAccounts(); slices.Contains(as, "acme") {
		t.Errorf("the Hub was asked as %q", as)
	}
}

// A cluster is asked about somebody who is not logged in by name alone.
func TestWithAClusterAnImportIsFollowedForWhomTheClusterLetsImportByName(t *testing.T) {
	cluster := kubetest.New(t)
	logsIn := func(name string, groups ...string) request {
		token := tokenOf(t, name)
		cluster.Knows(token, authentication.TokenReviewStatus{Authenticated: true, User: authentication.UserInfo{Username: name, Groups: groups}})
		return request{header: bearer(token)}
	}
	const account = "system:serviceaccount:demo:ci"
	ci, dev := logsIn(account, "system:serviceaccounts", "system:authenticated"), logsIn("dev", "devs", "system:authenticated")
	allow := func(account string) {
		cluster.Allow(func(spec authorization.SubjectAccessReviewSpec) bool {
			return spec.ResourceAttributes.Namespace == "demo" && (spec.User == account || slices.Contains(spec.Groups, "devs"))
		})
	}
	allow(account)
	s := newStack(t, hubsim.Options{Accounts: lenders, TokensOnRegistry: true},
		withCredential(t, "all", "all-secret")+"access: kubernetes\nkubernetes: {kubeconfig: "+cluster.Kubeconfig()+"}\n")
	s.must("POST", "/api/v1/projects", `{"name":"demo"}`, nil)
	s.lends("demo", "acme", "acme-secret")
	app := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)

	going(t, "a group's", s.imports(dev, "demo", privateApp, true), app, "")
	failing(t, "a group's, followed", s.followed(), "since dev, who set this import, is no member of the project now")
	going(t, "a service account's", s.imports(ci, "demo", privateApp, true), app, "")
	app = s.hub.AddImage("acme/app", "1", small(2))
	going(t, "a service account's, followed", s.followed(), app, "")
	allow("nobody")
	s.hub.AddImage("acme/app", "1", small(3))
	failing(t, "once the cluster says no", s.followed(), "since "+account+", who set this import, is no member of the project now")
	if s.pulls("acme") != 3 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

// lenders are accounts of the Hub: everybody's, and those of the projects demo and shop.
var lenders = []hubsim.Account{
	{Username: "all", Password: "all-secret", Repositories: []string{"corp/base"}},
	{Username: "acme", Password: "acme-secret", Repositories: []string{"acme/app"}},
	{Username: "bob", Password: "bob-secret", Repositories: []string{"bob/app"}},
}

const (
	acmeApp = "/v2/docker-hub/acme/app/"
	bobApp  = "/v2/docker-hub/bob/app/"
)

// must sends a request of the admin's that has to succeed, and reads the answer to.
func (s *stack) must(method, path, body string, to any) {
	s.t.Helper()
	got := s.send(request{method: method, path: path, admin: true, body: body})
	if got.status >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	if to != nil {
		if err := json.Unmarshal(got.body, to); err != nil {
			s.t.Fatal(err)
		}
	}
}

// member makes a project with a service account and returns that one's token.
func (s *stack) member(project string) (token string) {
	s.t.Helper()
	s.must("POST", "/api/v1/projects", fmt.Sprintf(`{"name":%q}`, project), nil)
	s.must("POST", "/api/v1/projects/"+project+"/serviceaccounts", `{"name":"ci"}`, nil)
	var made struct{ Token string }
	s.must("POST", "/api/v1/projects/"+project+"/serviceaccounts/ci/tokens", `{}`, &made)
	return made.Token
}

// user makes a user and returns an access token of theirs.
func (s *stack) user(name string) (token string) {
	s.t.Helper()
	s.must("POST", "/api/v1/users", fmt.Sprintf(`{"name":%q,"password":"battery-staple-horse"}`, name), nil)
	req := request{method: "POST", path: "/api/v1/tokens", body: `{}`}
	req.header = map[string]string{"Authorization": basic(name, "battery-staple-horse")}
	got := s.send(req)
	var made struct{ Token string }
	if err := json.Unmarshal(got.body, &made); err != nil || made.Token == "" {
		s.t.Fatalf("a token of %s: %d %s", name, got.status, got.body)
	}
	return made.Token
}

func basic(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// lends gives a project its own credential.
func (s *stack) lends(project, username, password string) {
	s.t.Helper()
	s.must("PUT", "/api/v1/projects/"+project+"/credentials/docker-hub/"+username, fmt.Sprintf(`{"password":%q}`, password), nil)
}

// lending is a stack with everybody's credential and one of each project's, and with a
// private repository of each account.
func lending(t *testing.T) (s *stack, demo, shop string, app hubsim.Pushed) {
	t.Helper()
	s = newStack(t, hubsim.Options{Accounts: lenders, TokensOnRegistry: true}, withCredential(t, "all", "all-secret"))
	demo, shop = s.member("demo"), s.member("shop")
	s.lends("demo", "acme", "acme-secret")
	s.lends("shop", "bob", "bob-secret")
	app = s.hub.AddImage("acme/app", "1", small(1))
	s.hub.AddImage("bob/app", "1", small(2))
	s.hub.AddImage("corp/base", "1", small(3))
	for _, name := range []string{"acme/app", "bob/app", "corp/base"} {
		s.hub.SetPrivate(name, true)
	}
	return s, demo, shop, app
}

// artifact-keeper#3606 (row 25): a token that one credential paid for is shown for another.
func TestEachCredentialIsSpentByThoseAloneWhoMayUseIt(t *testing.T) {
	s, demo, shop, _ := lending(t)
	alice := s.user("alice")
	pulls := 0
	pull := func(r request, account string) {
		t.Helper()
		before := s.pulls(account)
		pulls++
		s.anew(fmt.Sprint("image", pulls), r)
		if now := s.pulls(account); now != before+1 {
			t.Errorf("pull %d was not paid by %q: %+v", pulls, account, s.hub.Counters().Accounts)
		}
	}
	pull(request{token: demo}, "acme")
	pull(request{token: shop}, "bob")
	pull(request{token: alice}, "all")
	pull(request{}, "all")
	pull(request{admin: true}, "all")
	s.must("POST", "/api/v1/projects/demo/grants", `{"role":"system:image-puller","users":["alice"]}`, nil)
	pull(request{token: alice}, "all")
	s.must("POST", "/api/v1/projects/demo/grants", `{"role":"edit","users":["alice"]}`, nil)
	pull(request{token: alice}, "acme")
	s.must("DELETE", "/api/v1/projects/demo/credentials/docker-hub/acme", "", nil)
	pull(request{token: alice}, "all")
	pull(request{token: demo}, "all")
	pull(request{token: shop}, "bob")
}

func TestWhatAProjectsCredentialFetchedIsForItsMembersAlone(t *testing.T) {
	s, demo, shop, app := lending(t)
	alice := s.user("alice")
	layer := "blobs/" + app.Manifests[0].Layers[0].Digest.String()
	digest := "manifests/" + app.Digest.String()
	missing := s.send(request{path: "/v2/docker-hub/acme/none/manifests/1", token: shop})
	refused := func(when string) {
		t.Helper()
		for name, r := range map[string]request{"a stranger": {}, "shop": {token: shop}, "alice": {token: alice}, "the admin": {admin: true}} {
			for _, path := range []string{"manifests/1", digest, layer, "tags/list"} {
				want := 404
				if name == "a stranger" {
					want = 401
				}
				r.path = acmeApp + path
				if got := s.send(r); got.status != want {
					t.Errorf("%s: %s got %d for %s: %.200s", when, name, got.status, path, got.body)
				}
				r.method = http.MethodHead
				if got := s.send(r); got.status != want || got.header.Get("Docker-Content-Digest") != "" {
					t.Errorf("%s: %s got %d for HEAD %s", when, name, got.status, path)
				}
				r.method = ""
			}
		}
	}
	refused("before it is cached")
	s.send(request{path: acmeApp + "manifests/1", token: demo}).wants(t, 200, "larder; fwd=miss; stored").is(t, app.Digest)
	s.send(request{path: acmeApp + layer, token: demo}).wants(t, 200, "larder; fwd=miss; stored")
	refused("cached")
	s.clock.Pass(2 * time.Hour)
	refused("hours later")
	s.restart()
	refused("after a restart")
	if s.pulls("acme") != 1 || s.pulls("bob")+s.pulls("all")+s.pulls("") != 0 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}

	got := s.send(request{path: acmeApp + "manifests/1", token: shop})
	said := func(a answer) string {
		text, _, _ := strings.Cut(strings.ReplaceAll(string(a.body), "acme/none", "acme/app"), "larder explain")
		return a.cache() + " " + text
	}
	if said(got) != said(missing) {
		t.Errorf("what exists is told apart from what does not:\n%s\n%s", said(got), said(missing))
	}
	s.must("POST", "/api/v1/projects/shop/grants", `{"role":"system:image-builder","users":["system:serviceaccount:shop:ci"]}`, nil)
	mount := request{method: "POST", path: "/v2/shop/app/blobs/uploads/?mount=" + app.Manifests[0].Layers[0].Digest.String() + "&from=docker-hub/acme/app", token: shop}
	if got := s.send(mount); got.status != 202 {
		t.Errorf("mounting its layer was answered %d", got.status)
	}
	for name, r := range map[string]request{"demo": {token: demo}, "shop": {token: shop}, "alice": {token: alice}} {
		for _, path := range []string{"/v2/_catalog", "/v1/search?q=app", "/api/v1/projects/docker-hub/repositories"} {
			r.path = path
			got := s.send(r)
			if told := strings.Contains(string(got.body), "acme/app"); told != (name == "demo") || got.status != 200 && got.status != 403 && got.status != 404 {
				t.Errorf("%s got %d for %s: %s", name, got.status, path, got.body)
			}
		}
	}
	s.send(request{path: acmeApp + "manifests/1", token: demo}).is(t, app.Digest)
}

func TestAListOfACacheSaysWhoCanPullWhatTheUpstreamKeepsFromStrangers(t *testing.T) {
	s, demo, _, _ := lending(t)
	s.hub.AddImage("library/nginx", "1", small(4))
	s.get(nginx + "manifests/1")
	s.send(request{path: "/v2/docker-hub/corp/base/manifests/1", admin: true})
	s.send(request{path: acmeApp + "manifests/1", token: demo})
	var listed struct {
		Items []struct{ Name, Visibility string }
	}
	s.must("GET", "/api/v1/projects/docker-hub/repositories", "", &listed)
	got := map[string]string{}
	for _, r := range listed.Items {
		got[r.Name] = r.Visibility
	}
	want := map[string]string{"acme/app": "private", "corp/base": "logged in", "library/nginx": "public"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who can pull (-want +got):\n%s", diff)
	}
}

func TestMembersKeepWhatTheyHadWhileTheHubIsGoneAndAfterARestart(t *testing.T) {
	s, demo, shop, app := lending(t)
	s.send(request{path: acmeApp + "manifests/1", token: demo}).is(t, app.Digest)
	s.restart()
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.clock.Pass(3 * time.Hour)
	s.send(request{path: acmeApp + "manifests/1", token: demo}).is(t, app.Digest)
	if got := s.send(request{path: acmeApp + "manifests/1", token: shop}); got.status < 400 {
		t.Errorf("another project's got %d", got.status)
	}
}

func TestWithTheCredentialGoesWhatOnlyItCouldFetch(t *testing.T) {
	s, demo, _, app := lending(t)
	s.send(request{path: acmeApp + "manifests/1", token: demo}).is(t, app.Digest)
	s.must("DELETE", "/api/v1/projects/demo/credentials/docker-hub/acme", "", nil)
	s.must("DELETE", "/api/v1/projects/shop/credentials/docker-hub/bob", "", nil)
	for name, r := range map[string]request{"demo": {token: demo}, "the admin": {admin: true}} {
		r.path = acmeApp + "manifests/1"
		if got := s.send(r); got.status != 404 {
			t.Errorf("%s got %d", name, got.status)
		}
	}
	s.lends("demo", "bob", "bob-secret") // another account, which may not read it
	if got := s.send(request{path: acmeApp + "manifests/1", token: demo}); got.status != 404 {
		t.Errorf("with another account demo got %d", got.status)
	}
	s.lends("demo", "acme", "acme-secret")
	s.send(request{path: acmeApp + "manifests/1", token: demo}).is(t, app.Digest)
}

func TestAPublicImageThatNoAccountMayReadAnyMoreStaysOpen(t *testing.T) {
	s, demo, shop, _ := lending(t)
	public := s.hub.AddImage("acme/shared", "1", small(7))
	s.send(request{path: "/v2/docker-hub/acme/shared/manifests/1", token: demo}).is(t, public.Digest)
	s.send(request{path: "/v2/docker-hub/acme/shared/manifests/1", token: shop}).is(t, public.Digest)
	s.send(request{path: "/v2/docker-hub/acme/shared/manifests/1"}).is(t, public.Digest)
	s.hub.SetPrivate("acme/shared", true) // and nobody's account may read it: as if it were gone
	s.clock.Pass(2 * time.Hour)
	s.send(request{path: "/v2/docker-hub/acme/shared/manifests/1", token: shop}).is(t, public.Digest)
}

func TestWhatEverybodysCredentialFetchedIsForAllWhoAreLoggedIn(t *testing.T) {
	s, demo, shop, _ := lending(t)
	for name, token := range map[string]string{"demo": demo, "shop": shop, "alice": s.user("alice")} {
		if got := s.send(request{path: "/v2/docker-hub/corp/base/manifests/1", token: token}); got.status != 200 {
			t.Errorf("%s got %d: %s", name, got.status, got.body)
		}
	}
	if got := s.get("/v2/docker-hub/corp/base/manifests/1"); got.status != 401 {
		t.Errorf("a stranger got %d", got.status)
	}
	if s.pulls("all") != 1 || s.pulls("acme")+s.pulls("bob") != 0 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
}

func TestNobodyGetsAPrivateImageByAskingTogetherWithItsMembers(t *testing.T) {
	s, demo, shop, _ := lending(t)
	for round := range 4 {
		tag := fmt.Sprint("tag", round)
		image := s.hub.AddImage("acme/app", tag, small(uint64(100+round)))
		layer := "blobs/" + image.Manifests[0].Layers[0].Digest.String()
		var work sync.WaitGroup
		for range 8 {
			for _, path := range []string{"manifests/" + tag, "manifests/" + image.Digest.String(), layer} {
				work.Go(func() {
					if got, err := s.try(t.Context(), request{path: acmeApp + path, token: demo}); err != nil || got.status != 200 {
						t.Errorf("a member got %d, %v", got.status, err)
					}
				})
				work.Go(func() {
					if got, err := s.try(t.Context(), request{path: acmeApp + path, token: shop}); err != nil || got.status < 400 {
						t.Errorf("another project's got %d, %v", got.status, err)
					}
				})
			}
		}
		work.Wait()
	}
}

func TestARepositoryThatOneAccountLosesIsClosedToItsMembersAndStaysOpenToThoseOfAnother(t *testing.T) {
	both := []hubsim.Account{
		{Username: "acme", Password: "acme-secret", Repositories: []string{"acme/app"}},
		{Username: "bob", Password: "bob-secret", Repositories: []string{"acme/app"}},
	}
	s := newStack(t, hubsim.Options{Accounts: both, TokensOnRegistry: true}, "")
	demo, shop := s.member("demo"), s.member("shop")
	s.lends("demo", "acme", "acme-secret")
	s.lends("shop", "bob", "bob-secret")
	app := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	layer := "blobs/" + app.Manifests[0].Layers[0].Digest.String()
	paths := []string{"manifests/1", "manifests/" + app.Digest.String(), layer, "tags/list"}
	wants := func(when, who, token string, status int) {
		t.Helper()
		for _, path := range paths {
			if got := s.send(request{path: acmeApp + path, token: token}); got.status != status {
				t.Errorf("%s %s got %d for %s, want %d: %.200s", when, who, got.status, path, status, got.body)
			}
		}
	}
	wants("at first", "demo", demo, 200)
	wants("at first", "shop", shop, 200)

	s.hub.SetReader("acme/app", "acme", false)
	s.clock.Pass(2 * time.Hour) // past what is remembered of who may see it
	wants("when its account has lost it", "demo", demo, 404)
	wants("when the other account has lost it", "shop", shop, 200)
	s.restart()
	wants("after a restart", "demo", demo, 404)
	wants("after a restart", "shop", shop, 200)

	s.hub.SetReader("acme/app", "acme", true)
	s.clock.Pass(2 * time.Hour)
	wants("when its account has it again", "demo", demo, 200)

	s.hub.SetReader("acme/app", "acme", false)
	s.hub.SetReader("acme/app", "bob", false) // now nobody has it: as if it had vanished
	s.clock.Pass(2 * time.Hour)
	wants("when nobody has it any more", "shop", shop, 200)
}

func TestABlobIsRepairedByTheCredentialThatFetchedIt(t *testing.T) {
	s, demo, shop, app := lending(t)
	layer := app.Manifests[0].Layers[0].Digest
	s.send(request{path: acmeApp + "manifests/1", token: demo}).is(t, app.Digest)
	s.send(request{path: acmeApp + "blobs/" + layer.String(), token: demo}).is(t, layer)
	s.restart() // nothing is in memory
	s.damage(layer)
	got := s.send(request{method: http.MethodPost, path: "/api/v1/fsck?repair=true", admin: true})
	if got.status != 200 || !strings.Contains(string(got.body), `"repaired":"it was fetched anew through docker-hub/acme/app"`) {
		t.Fatalf("the repair got %d: %s", got.status, got.body)
	}
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.send(request{path: acmeApp + "blobs/" + layer.String(), token: demo}).is(t, layer)
	if got := s.send(request{path: acmeApp + "blobs/" + layer.String(), token: shop}); got.status == 200 {
		t.Error("another project gets what was repaired")
	}
}

package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

// accounts are those of the tests: acme may read acme/app, bobs nothing private.
var accounts = []hubsim.Account{
	{Username: "acme", Password: "acme-secret", Repositories: []string{"acme/app"}},
	{Username: "bob", Password: "bob-secret"},
}

// withCredential is a configuration whose Docker Hub upstream has one account.
func withCredential(t *testing.T, username, password string) string {
	t.Helper()
	file := writeFile(t, "password", password+"\n")
	return "upstreams:\n- name: docker-hub\n  credentials:\n  - {username: " + username + ", passwordFile: " + file + "}\n"
}

func TestAPrivateRepositoryIsForCallersWhoAreLoggedIn(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	const app = "/v2/docker-hub/acme/app/"

	stranger := s.get(app + "manifests/1")
	if stranger.status != 401 || !strings.Contains(stranger.header.Get("WWW-Authenticate"), "repository:docker-hub/acme/app:pull") {
		t.Fatalf("a stranger got %d, challenge %q", stranger.status, stranger.header.Get("WWW-Authenticate"))
	}
	layer := app + "blobs/" + image.Manifests[0].Layers[0].Digest.String()
	s.send(request{path: app + "manifests/1", admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.send(request{path: layer, admin: true}).wants(t, 200, "larder; fwd=miss; stored")

	for _, path := range []string{app + "manifests/1", app + "manifests/" + image.Digest.String(), layer, app + "tags/list"} {
		if got := s.get(path); got.status != 401 {
			t.Errorf("a stranger got %d for %s, which is cached", got.status, path)
		}
	}
	if got := s.send(request{path: "/v2/acme/app/manifests/1", mirror: true}); got.status != 404 || got.header.Get("WWW-Authenticate") != "" {
		t.Errorf("the mirror listener answered %d, challenge %q", got.status, got.header.Get("WWW-Authenticate"))
	}
}

func TestWhatTheHubShowsToStrangersStaysOpenWhicheverCredentialPaid(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("library/nginx", "latest", small(1))

	s.get(nginx+"manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	if tally := s.hub.Counters().Accounts; tally["acme"].PullsCounted != 1 || tally[""].PullsCounted != 0 || tally[""].ManifestHEADs == 0 {
		t.Errorf("the Hub counted %+v: want one pull of acme's, and a stranger's HEAD", tally)
	}
	s.hub.ResetRequests()
	s.get(nginx+"manifests/"+image.Digest.String()).wants(t, 200, "larder; hit")
	s.hubSaw(names(image))

	s.clock.Pass(61 * time.Minute)
	s.get(nginx+"manifests/"+image.Digest.String()).wants(t, 200, "larder; hit")
	if tally := s.hub.Counters(); tally.Accounts[""].ManifestHEADs == 0 || tally.ManifestGETs != 0 {
		t.Errorf("after an hour the question is asked again, by HEAD only: %+v", tally)
	}
}

func TestARepositoryThatBecamePrivateIsClosedToStrangersWithinTheHour(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("acme/app", "1", small(1))
	path := "/v2/docker-hub/acme/app/manifests/" + image.Digest.String()
	s.get(path).is(t, image.Digest)
	s.hub.SetPrivate("acme/app", true)
	s.clock.Pass(61 * time.Minute)
	if got := s.get(path); got.status != 401 {
		t.Errorf("a stranger got %d", got.status)
	}
	s.send(request{path: path, admin: true}).wants(t, 200, "larder; hit").is(t, image.Digest)
}

func TestAnImageThatVanishedFromTheHubStaysOpenToStrangers(t *testing.T) {
	for name, file := range map[string]string{"without a credential": "", "with a credential": withCredential(t, "acme", "acme-secret")} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, file)
			image := s.hub.AddImage("library/nginx", "latest", small(1))
			s.get(nginx+"manifests/latest").is(t, image.Digest)
			s.hub.Delete("library/nginx")
			s.clock.Pass(3 * time.Hour)
			got := s.get(nginx+"manifests/latest").is(t, image.Digest)
			if !strings.Contains(got.header.Get("Warning"), "no longer has it") {
				t.Errorf("Warning %q", got.header.Get("Warning"))
			}
			s.get(nginx+"manifests/"+image.Digest.String()).is(t, image.Digest)
		})
	}
}

func TestTheLastAnswerAboutStrangersStandsWhileTheHubIsGone(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	path := nginx + "manifests/" + image.Digest.String()
	s.get(path).is(t, image.Digest)
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.clock.Pass(2 * time.Hour)
	s.get(path).wants(t, 200, "larder; hit").is(t, image.Digest)
}

func TestACaptivePortalOpensNothingToStrangers(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	const app = "/v2/docker-hub/acme/app/"
	layer := "blobs/" + image.Manifests[0].Layers[0].Digest.String()
	s.send(request{path: app + "manifests/1", admin: true}).is(t, image.Digest)
	s.send(request{path: app + layer, admin: true}).wants(t, 200, "larder; fwd=miss; stored")
	s.hub.Break(hubsim.Fault{Kind: hubsim.Page200, Service: hubsim.Registry})
	s.clock.Pass(2 * time.Hour)

	for _, path := range []string{
		app + "manifests/1", app + "manifests/" + image.Digest.String(), app + layer,
		nginx + "manifests/" + image.Digest.String(), nginx + layer,
	} {
		if got := s.get(path); got.status < 400 {
			t.Errorf("a stranger got %d for %s", got.status, path)
		}
	}
	got := s.send(request{path: nginx + layer, admin: true})
	if got.status < 400 {
		t.Errorf("a blob was opened through a repository that never showed it: %d", got.status)
	}
	s.send(request{path: app + "manifests/1", admin: true}).is(t, image.Digest)
}

func TestAPrivateRepositoryThatNoCredentialMayReadIsNotFound(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "bob", "bob-secret"))
	s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	got := s.send(request{path: "/v2/docker-hub/acme/app/manifests/1", admin: true})
	if got.status != 404 || !strings.Contains(string(got.body), "private") {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestARefusedCredentialIsSetAsideAndPublicImagesGoOn(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "wrong"))
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/redis", "latest", small(2))
	s.send(request{path: nginx + "manifests/latest", admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	refused := func() (n int) {
		for _, r := range s.hub.Requests() {
			if r.Service == hubsim.Auth && r.Status == 401 {
				n++
			}
		}
		return n
	}
	if got := refused(); got != 1 {
		t.Fatalf("the wrong password was tried %d times", got)
	}
	if got := s.send(request{path: "/v2/docker-hub/library/redis/manifests/latest", admin: true}); got.status != 200 {
		t.Errorf("another image: %d %s", got.status, got.body)
	}
	if got := refused(); got != 1 {
		t.Errorf("the wrong password was tried again: %d times", got)
	}
	if log := s.log.String(); strings.Contains(log, "wrong") && strings.Contains(log, "password=wrong") || !strings.Contains(log, "acme") {
		t.Error("the log does not name the refused credential, or shows its secret")
	}
}

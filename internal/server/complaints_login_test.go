package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

// goharbor/harbor#23750: a login to Docker Hub on every request.
func TestATokenIsAskedForOnceForEachRepository(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	const repositories, clients = 5, 40
	for i := range repositories {
		s.hub.AddImage(fmt.Sprintf("acme/app%d", i), "1", small(uint64(i)))
	}
	pull := func() {
		var work sync.WaitGroup
		for client := range clients {
			work.Go(func() {
				path := fmt.Sprintf("/v2/docker-hub/acme/app%d/manifests/1", client%repositories)
				if got, err := s.try(t.Context(), request{path: path, admin: true}); err != nil || got.status != 200 {
					t.Errorf("%s: %d, %v", path, got.status, err)
				}
			})
		}
		work.Wait()
	}
	pull()
	if asked := s.hub.Counters().TokenGETs; asked != repositories {
		t.Errorf("%d clients who pulled from %d repositories cost %d tokens", clients, repositories, asked)
	}
	s.hub.ResetRequests()
	s.clock.Pass(2 * time.Minute)
	pull()
	if asked := s.hub.Counters(); asked.TokenGETs != 0 || asked.ManifestHEADs != repositories {
		t.Errorf("two minutes later the Hub saw %d token requests and %d HEADs, want 0 and %d", asked.TokenGETs, asked.ManifestHEADs, repositories)
	}
}

// goharbor/harbor#23750 and #22569: under load a wrong password locks the account, so
// that it cannot be corrected.
func TestAWrongPasswordIsSentOnceAndCanBeCorrectedUnderLoad(t *testing.T) {
	file := withCredential(t, "acme", "wrong")
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, file)
	const clients = 40
	for client := range clients {
		s.hub.AddImage(fmt.Sprintf("library/image%d", client), "1", small(uint64(client)))
	}
	var work sync.WaitGroup
	for client := range clients {
		work.Go(func() {
			path := fmt.Sprintf("/v2/docker-hub/library/image%d/manifests/1", client)
			if got, err := s.try(t.Context(), request{path: path, admin: true}); err != nil || got.status != 200 {
				t.Errorf("%s: %d, %v", path, got.status, err)
			}
		})
	}
	work.Wait()
	if sent := s.loginsOf("acme"); len(sent) != 1 || sent[0] != http.StatusUnauthorized {
		t.Fatalf("the wrong password was sent %d times, with the answers %v", len(sent), sent)
	}

	s.file = withCredential(t, "acme", "acme-secret")
	s.hub.ResetRequests()
	s.reload()
	if sent := s.loginsOf("acme"); len(sent) != 0 {
		t.Errorf("the correction itself was tried at the Hub: %v", sent)
	}
	s.hub.AddImage("acme/app", "1", small(99))
	s.hub.SetPrivate("acme/app", true)
	s.send(request{path: "/v2/docker-hub/acme/app/manifests/1", admin: true}).wants(t, 200, "larder; fwd=miss; stored")
	if sent := s.loginsOf("acme"); len(sent) != 1 || sent[0] != http.StatusOK {
		t.Errorf("the corrected password was sent %d times, with the answers %v", len(sent), sent)
	}
}

// goharbor/harbor#22569: the login limiter's refusal turns into 404 for the client.
func TestARefusalOfTheTokenServiceIsNeverA404(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/redis", "latest", small(2))
	s.pullAll(nginx, "latest", image)
	s.hub.Break(hubsim.Fault{Kind: hubsim.AbuseLimit429, Path: hubsim.TokenPath})
	s.clock.Pass(30 * time.Minute)

	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit; ttl=-1740; detail=stale-if-error").is(t, image.Digest)
	got := s.get("/v2/docker-hub/library/redis/manifests/latest")
	if got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(string(got.body), "TOOMANYREQUESTS") {
		t.Errorf("what is not cached got %d, Retry-After %q: %s", got.status, got.header.Get("Retry-After"), got.body)
	}
}

// loginsOf lists the answers to an account's requests for tokens.
func (s *stack) loginsOf(account string) (statuses []int) {
	for _, r := range s.hub.Requests() {
		if r.Service == hubsim.Auth && r.Account == account {
			statuses = append(statuses, r.Status)
		}
	}
	return statuses
}

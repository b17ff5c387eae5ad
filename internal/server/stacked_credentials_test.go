package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// adds gives Larder a credential, as `larder upstream credential add` does.
func (s *stack) adds(username, password string) {
	s.t.Helper()
	got := s.send(request{
		method: http.MethodPut, path: "/api/v1/credentials/docker-hub/" + username, admin: true, body: fmt.Sprintf(`{"password":%q}`, password),
	})
	if got.status != 200 && got.status != 201 {
		s.t.Fatalf("adding the credential of %s: %d %s", username, got.status, got.body)
	}
	if strings.Contains(string(got.body), password) {
		s.t.Errorf("the answer tells the password: %s", got.body)
	}
}

// pulls is how many pulls the Hub counted of an account.
func (s *stack) pulls(account string) int {
	return int(s.hub.Counters().Accounts[account].PullsCounted)
}

// anew pulls an image that was never pulled before.
func (s *stack) anew(name string, r request) {
	s.t.Helper()
	image := s.hub.AddImage("library/"+name, "latest", small(uint64(len(name))))
	r.path = "/v2/docker-hub/library/" + name + "/manifests/latest"
	s.send(r).is(s.t, image.Digest)
}

func TestACredentialThatIsAddedIsUsedWithoutARestartAndAfterOne(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, "")
	s.anew("one", request{admin: true})
	if s.pulls("") != 1 {
		t.Fatalf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
	s.adds("acme", "acme-secret")
	s.anew("two", request{admin: true})
	s.restart()
	s.anew("three", request{admin: true})
	if s.pulls("") != 1 || s.pulls("acme") != 2 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
	if got := s.send(request{method: http.MethodDelete, path: "/api/v1/credentials/docker-hub/acme", admin: true}); got.status != 204 {
		t.Fatalf("removing it: %d %s", got.status, got.body)
	}
	s.anew("four", request{admin: true})
	if s.pulls("") != 2 || s.pulls("acme") != 2 {
		t.Errorf("after it was removed the Hub counted %+v", s.hub.Counters().Accounts)
	}
	s.stop()
	for _, name := range []string{"metadata.db", "metadata.db-wal"} {
		if text, _ := os.ReadFile(filepath.Join(s.data, name)); strings.Contains(string(text), "acme-secret") {
			t.Errorf("%s holds the password", name)
		}
	}
	if info, err := os.Stat(filepath.Join(s.data, "credential.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	if strings.Contains(s.log.String(), "acme-secret") {
		t.Error("the log holds the password")
	}
}

func TestAnAddedCredentialThatIsRefusedIsSetAsideUntilItIsAnother(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, "")
	s.adds("acme", "wrong")
	for i := range 4 {
		s.anew(fmt.Sprint("image", i), request{admin: true})
	}
	refused := 0
	for _, r := range s.hub.Requests() {
		if r.Service == hubsim.Auth && r.Status == 401 {
			refused++
		}
	}
	if refused != 1 || s.pulls("") != 4 {
		t.Errorf("the Hub refused it %d times, and counted %+v", refused, s.hub.Counters().Accounts)
	}
	var listed struct {
		Items []struct{ Username, State string }
	}
	s.read("/api/v1/credentials", &listed)
	if len(listed.Items) != 1 || listed.Items[0].State != "refused" {
		t.Errorf("it is listed as %+v", listed.Items)
	}
	told := 0
	for _, e := range s.events() {
		if e.Action == "refuse-credential" && e.Object == "upstreams/docker-hub" && strings.Contains(e.Detail, "acme") {
			told++
		}
	}
	if told != 1 || !strings.Contains(s.log.String(), "the upstream refused a credential") {
		t.Errorf("%d events tell of it, and the log has\n%s", told, s.log)
	}
	s.adds("acme", "acme-secret")
	s.anew("better", request{admin: true})
	if s.pulls("acme") != 1 {
		t.Errorf("the changed one was not used: %+v", s.hub.Counters().Accounts)
	}
}

func TestOfTwoCredentialsTheOneThatHasLittleLeftIsSpared(t *testing.T) {
	s := newStack(t, hubsim.Options{TokensOnRegistry: true, Accounts: []hubsim.Account{
		{Username: "one", Password: "one-secret", Limit: 10}, {Username: "two", Password: "two-secret", Limit: 40},
	}}, "")
	s.adds("one", "one-secret")
	s.adds("two", "two-secret")
	for i := range 20 {
		s.anew(fmt.Sprint("image", i), request{admin: true})
	}
	if one, two := s.pulls("one"), s.pulls("two"); one != 10 || two != 10 {
		t.Errorf("%d pulls are of one, %d of two", one, two)
	}
	for _, r := range s.hub.Requests() {
		if r.Status == 429 {
			t.Errorf("the Hub refused %s", r)
		}
	}
}

func TestACredentialIsUsedByOtherServersOnTheSameDatabase(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	options := hubsim.Options{Accounts: accounts, TokensOnRegistry: true, AnonymousLimit: hubsim.Unmetered}
	one, other := newStack(t, options, ""), newStack(t, options, "")
	start := func(key string) {
		for _, s := range []*stack{one, other} {
			s.stop()
			s.env["LARDER_DATABASE"], s.env["LARDER_CREDENTIAL_KEY"], s.data = database, key, t.TempDir()
			s.start()
		}
	}
	start("")
	put := request{method: http.MethodPut, path: "/api/v1/credentials/docker-hub/acme", admin: true, body: `{"password":"acme-secret"}`}
	if got := one.send(put); got.status != 409 || !strings.Contains(string(got.body), "LARDER_CREDENTIAL_KEY") {
		t.Errorf("without a key that both have: %d %s", got.status, got.body)
	}
	start(strings.Repeat("k", 32))
	one.adds("acme", "acme-secret")
	images := 0
	other.eventually("the other server uses the credential", func() bool {
		images++
		other.anew(fmt.Sprint("image", images), request{admin: true})
		return other.pulls("acme") > 0
	})
}

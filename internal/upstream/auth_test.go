package upstream

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestARegistryWithoutChallengeIsAskedOnce(t *testing.T) {
	w := serve(t, func(w http.ResponseWriter, r *http.Request) { manifestFor(w, r, "") })
	c := dial(t, w.URL, as("alice"))
	_, err := c.stat(t, Any)
	good(t, err)
	w.expect(t, "HEAD "+latest)
}

func TestAMissingRepositoryOnHubIsNotABadCredential(t *testing.T) {
	h := newHub(t)
	h.content = h.onlyFor("nobody")
	c := dial(t, h.URL, as("alice"))
	_, err := c.Manifest(t.Context(), Any.For(nobody), nginx, "latest")
	if e := failing(t, err, Denied); e.Status != 401 || !strings.Contains(e.Message, "alice") {
		t.Errorf("error is %v", e)
	}
	h.expect(t, tokenFor("alice"), "GET "+latest+" with alice-1", tokenFor(""), "GET "+latest+" with anonymous-1")
	if len(c.log.lines()) != 0 || c.Budget()[0].Refused {
		t.Errorf("the credential was set aside: %v", c.log.lines())
	}
}

func TestTheCredentialThatMayReadIsFound(t *testing.T) {
	h := newHub(t)
	h.content = h.onlyFor("bob")
	c := dial(t, h.URL, as("alice", "bob"))
	_, err := c.stat(t, Any)
	good(t, err)
	_, err = c.stat(t, Anonymous)
	failing(t, err, Denied)
}

func TestABadCredentialIsSetAsideAndSaidOnce(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL, as("alice:wrong"))
	_, err := c.stat(t, Any)
	good(t, err)
	h.expect(t, tokenFor("alice"), tokenFor(""), "HEAD "+latest+" with anonymous-1")
	_, err = c.StatManifest(t.Context(), Any.For(nobody), "redis", "7")
	good(t, err)
	for _, ask := range h.asked() {
		if strings.Contains(ask, "alice") {
			t.Errorf("the bad credential was tried again: %s", ask)
		}
	}
	lines := c.log.lines()
	if len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "credential=alice") || strings.Contains(lines[0], "wrong") {
		t.Errorf("the log says %q", lines)
	}
	if got := testutil.ToFloat64(c.Registry.metrics.refused.WithLabelValues("docker-hub", "alice")); got != 1 {
		t.Errorf("the metric says %v", got)
	}

	h.content = h.onlyFor("alice")
	_, err = c.stat(t, Any)
	failing(t, err, CredentialRefused)
}

func TestManyAskersTryABadCredentialOnce(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL, as("alice:wrong"))
	var askers sync.WaitGroup
	for i := range 16 {
		askers.Go(func() {
			if _, err := c.StatManifest(t.Context(), Any.For(nobody), fmt.Sprintf("team/app%d", i), "1"); err != nil {
				t.Error(err)
			}
		})
	}
	askers.Wait()
	tries := 0
	for _, ask := range h.asked() {
		if strings.HasSuffix(ask, "as alice") {
			tries++
		}
	}
	if tries != 1 {
		t.Errorf("the bad credential was tried %d times", tries)
	}
}

func TestATokenServiceThatForbidsOneRepositoryRefusesNoCredential(t *testing.T) {
	h := newHub(t)
	h.token = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	c := dial(t, h.URL, as("alice"))
	_, err := c.stat(t, Any)
	failing(t, err, Denied)
	if c.Budget()[0].Refused {
		t.Error("the credential was set aside")
	}
}

func basicRegistry(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); passwords[user] != password || user == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	manifestFor(w, r, "")
}

func TestABasicRegistry(t *testing.T) {
	t.Run("takes a good credential", func(t *testing.T) {
		w := serve(t, basicRegistry)
		c := dial(t, w.URL, as("alice"))
		for range 2 {
			_, err := c.stat(t, Any)
			good(t, err)
		}
		w.expect(t, "HEAD "+latest, "HEAD "+latest+" as alice", "HEAD "+latest+" as alice")
	})
	t.Run("shows a bad credential by 401", func(t *testing.T) {
		w := serve(t, basicRegistry)
		c := dial(t, w.URL, as("alice:wrong"))
		for range 2 {
			_, err := c.stat(t, Any)
			failing(t, err, CredentialRefused)
		}
		w.expect(t, "HEAD "+latest, "HEAD "+latest+" as alice", "HEAD "+latest, "HEAD "+latest)
	})
	t.Run("denies strangers", func(t *testing.T) {
		w := serve(t, basicRegistry)
		_, err := dial(t, w.URL).stat(t, Any)
		failing(t, err, Denied)
		w.expect(t, "HEAD "+latest)
	})
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	c := Credential{Username: "alice", Password: "secret"}
	for _, format := range []string{"%v", "%+v", "%s", "%#v", "%q"} {
		if text := fmt.Sprintf(format, c); strings.Contains(text, "secret") || !strings.Contains(text, "alice") {
			t.Errorf("%s prints %s", format, text)
		}
	}
	if c.LogValue().String() != "alice" {
		t.Errorf("a log shows %v", c.LogValue())
	}
}

func TestTheErrorThatExplainsMostIsReturned(t *testing.T) {
	const alice, bob, anonymous = "alice", "bob", "anonymous"
	tests := []struct {
		name   string
		users  []string
		denies []string // and limits the others
		want   Kind
		wait   time.Duration
	}{
		{"all are denied", []string{alice, bob}, []string{alice, bob, anonymous}, Denied, 0},
		{"one is refused, the other denied", []string{"alice:wrong", bob}, []string{bob, anonymous}, Denied, 0},
		{"one is refused, strangers are denied", []string{"alice:wrong"}, []string{anonymous}, CredentialRefused, 0},
		{"one is refused, strangers are limited", []string{"alice:wrong"}, nil, PullLimit, 30 * time.Second},
		{"one is limited, the others denied", []string{alice, bob}, []string{bob, anonymous}, PullLimit, 50 * time.Second},
		{"all are limited: the first to be back counts", []string{alice, bob}, nil, PullLimit, 30 * time.Second},
	}
	waits := map[string]string{alice: "50", bob: "40", anonymous: "30"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHub(t)
			h.content = func(w http.ResponseWriter, r *http.Request, asker string) {
				if slices.Contains(test.denies, asker) {
					h.challenge(w, r)
					return
				}
				limited429(waits[asker], asker)(w, r, asker)
			}
			_, err := dial(t, h.URL, as(test.users...)).Manifest(t.Context(), Any.For(nobody), nginx, "latest")
			if e := failing(t, err, test.want); e.RetryAfter != test.wait {
				t.Errorf("the error says to wait %v, not %v", e.RetryAfter, test.wait)
			}
		})
	}
}

func TestItIsKnownWhetherThereAreCredentials(t *testing.T) {
	if dial(t, "http://127.0.0.1:1").HasCredentials() || !dial(t, "http://127.0.0.1:1", as("alice")).HasCredentials() {
		t.Error("HasCredentials is wrong")
	}
}

func TestEveryKindHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for kind := NotFound; kind <= Blocked; kind++ {
		if name := kind.String(); name == "unknown" || seen[name] {
			t.Errorf("kind %d is called %q", kind, name)
		}
		seen[kind.String()] = true
	}
	if Kind(99).String() != "unknown" || Kind(-1).String() != "unknown" {
		t.Error("a kind that does not exist has a name")
	}
}

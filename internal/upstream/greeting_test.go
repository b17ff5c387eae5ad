package upstream

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

func TestNothingThatCountsIsSentBeforeItIsKnownHowToProveOneself(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL)
	var askers sync.WaitGroup
	for range 16 {
		askers.Go(func() {
			if _, err := c.Manifest(t.Context(), Any.For(nobody), nginx, "latest"); err != nil {
				t.Error(err)
			}
		})
	}
	askers.Wait()
	if h.hellos != 1 {
		t.Errorf("the version check was made %d times", h.hellos)
	}
	for _, ask := range h.asked() {
		if ask == "GET "+latest {
			t.Errorf("a manifest was asked for without a token")
		}
	}
}

func TestAScopeInTheVersionChecksChallengeIsAPlaceholder(t *testing.T) {
	h := newHub(t)
	h.hello = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="hub",scope="repository:user/image:pull"`, h.URL))
		w.WriteHeader(http.StatusUnauthorized)
	}
	c := dial(t, h.URL)
	_, err := c.stat(t, Any)
	good(t, err)
	h.expect(t, tokenFor(""), "HEAD "+latest+" with anonymous-1")
}

func TestARegistryThatHidesWhatIsPrivateBehindA404IsAskedWithTheCredential(t *testing.T) {
	h := newHub(t)
	h.content = func(w http.ResponseWriter, r *http.Request, asker string) {
		if asker != "alice" {
			http.NotFound(w, r)
			return
		}
		manifestFor(w, r, asker)
	}
	c := dial(t, h.URL, as("alice"))
	_, err := c.stat(t, Any)
	good(t, err)
}

func TestAVersionCheckThatFailsIsNotInTheWay(t *testing.T) {
	h := newHub(t)
	h.hello = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	c := dial(t, h.URL)
	_, err := c.stat(t, Any)
	good(t, err)
	h.expect(t, "HEAD "+latest, tokenFor(""), "HEAD "+latest+" with anonymous-1")
}

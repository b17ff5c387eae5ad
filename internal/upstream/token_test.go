package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestATokenIsFetchedOnceAndShownAtOnceAfterwards(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL, as("alice"))
	for range 3 {
		_, err := c.stat(t, Any)
		good(t, err)
	}
	_, err := c.stat(t, Anonymous)
	good(t, err)
	_, err = c.StatManifest(t.Context(), Any.For(nobody), "redis", "7")
	good(t, err)
	h.expect(t,
		tokenFor("alice"), "HEAD "+latest+" with alice-1", "HEAD "+latest+" with alice-1", "HEAD "+latest+" with alice-1",
		tokenFor(""), "HEAD "+latest+" with anonymous-1",
		strings.ReplaceAll(tokenFor("alice"), "nginx", "redis"), "HEAD /v2/library/redis/manifests/7 with alice-2")
}

func TestATokenIsRenewedShortlyBeforeItExpires(t *testing.T) {
	tests := []struct {
		name, life    string
		good, renewed time.Duration
	}{
		{"five minutes", `,"expires_in":300`, 284 * time.Second, time.Second},
		{"not said: a minute", ``, 53 * time.Second, time.Second},
		{"nonsense: a minute", `,"expires_in":-1`, 53 * time.Second, time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHub(t)
			h.life = test.life
			c := dial(t, h.URL)
			_, err := c.stat(t, Any)
			good(t, err)
			h.asked()
			c.clock.Pass(test.good)
			_, err = c.stat(t, Any)
			good(t, err)
			h.expect(t, "HEAD "+latest+" with anonymous-1")
			c.clock.Pass(test.renewed)
			_, err = c.stat(t, Any)
			good(t, err)
			h.expect(t, tokenFor(""), "HEAD "+latest+" with anonymous-2")
		})
	}
}

func TestATokenRejectedMidwayIsRenewedOnce(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL)
	_, err := c.stat(t, Any)
	good(t, err)
	h.reject("anonymous-1")
	h.asked()
	_, err = c.stat(t, Any)
	good(t, err)
	h.expect(t, "HEAD "+latest+" with anonymous-1", tokenFor(""), "HEAD "+latest+" with anonymous-2")

	h.reject("anonymous-2")
	h.reject("anonymous-3")
	_, err = c.stat(t, Any)
	failing(t, err, Denied)
	h.expect(t, "HEAD "+latest+" with anonymous-2", tokenFor(""), "HEAD "+latest+" with anonymous-3")
}

func TestOneRequestForATokenServesAllAskersAndOutlivesTheFirst(t *testing.T) {
	h := newHub(t)
	asked, release := make(chan struct{}, 16), make(chan struct{})
	h.token = func(http.ResponseWriter, *http.Request) bool {
		asked <- struct{}{}
		<-release
		return false
	}
	c := dial(t, h.URL)
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.StatManifest(first, Any.For(nobody), nginx, "latest")
		gone <- err
	}()
	<-asked
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			if _, err := c.StatManifest(t.Context(), Any.For(nobody), nginx, "latest"); err != nil {
				t.Error(err)
			}
		})
	}
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) || KindOf(err) != 0 {
		t.Errorf("whoever left got %v", err)
	}
	close(release)
	askers.Wait()
	tokens := 0
	for _, ask := range h.asked() {
		if strings.Contains(ask, "/token") {
			tokens++
		}
	}
	if tokens != 1 {
		t.Errorf("%d requests for a token", tokens)
	}
}

func TestAnUnreadableTokenIsInvalid(t *testing.T) {
	for _, body := range []string{`<html>`, `{}`, `{"token":"a\r\nb"}`, `{"token":["a"]}`, strings.Repeat(" ", maxTokenAnswer+1)} {
		h := newHub(t)
		h.token = func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write([]byte(body))
			return true
		}
		_, err := dial(t, h.URL).stat(t, Any)
		failing(t, err, Invalid)
	}
}

func TestAnAccessTokenIsAToken(t *testing.T) {
	h := newHub(t)
	h.token = func(w http.ResponseWriter, _ *http.Request) bool {
		return json.NewEncoder(w).Encode(map[string]any{"access_token": "anonymous-9"}) == nil
	}
	_, err := dial(t, h.URL).stat(t, Any)
	good(t, err)
}

func TestAScopeOfTheRegistrysOwnIsKept(t *testing.T) {
	var w *wire
	w = serve(t, func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			_, _ = fmt.Fprint(rw, `{"token":"t","expires_in":300}`)
		case r.Header.Get("Authorization") == "":
			rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="ecr",scope="aws"`, w.URL))
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			manifestFor(rw, r, "")
		}
	})
	c := dial(t, w.URL)
	for _, repo := range []string{"a/b", "c/d"} {
		_, err := c.StatManifest(t.Context(), Any.For(nobody), repo, "1")
		good(t, err)
	}
	w.expect(t, "HEAD /v2/a/b/manifests/1", "GET /token?scope=aws&service=ecr", "HEAD /v2/a/b/manifests/1 with t", "HEAD /v2/c/d/manifests/1 with t")
}

func TestNoMoreTokensAreKeptThanAllowed(t *testing.T) {
	now := time.Now()
	kept := newTokens(func() time.Time { return now }, func(context.Context, tokenKey, query) (token, error) {
		return token{value: "t", expires: now.Add(time.Minute)}, nil
	})
	defer kept.close()
	get := func(scope string) bool {
		_, held, err := kept.get(t.Context(), tokenKey{scope: scope}, query{})
		good(t, err)
		return held
	}
	for i := range maxTokens {
		get(fmt.Sprint(i))
	}
	if !get("0") || get("one more") || len(kept.kept) != maxTokens {
		t.Errorf("%d tokens are kept", len(kept.kept))
	}
	if !get("0") || get("1") {
		t.Error("not the least recently used one made room")
	}
}

func TestAClosedRegistryAsksForNoToken(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL)
	c.Close()
	if _, err := c.stat(t, Any); err == nil {
		t.Error("it answered")
	}
	h.expect(t)
}

func TestATokenServiceIsNotLedElsewhere(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer other.Close()
	h := newHub(t)
	h.token = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		return true
	}
	_, err := dial(t, h.URL, as("alice")).stat(t, Any)
	failing(t, err, Invalid)
}

func TestA401WithoutAChallengeRenewsTheTokenToo(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL)
	_, err := c.stat(t, Any)
	good(t, err)
	h.asked()
	h.content = func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusUnauthorized) }
	_, err = c.stat(t, Any)
	failing(t, err, Denied)
	h.expect(t, "HEAD "+latest+" with anonymous-1", tokenFor(""), "HEAD "+latest+" with anonymous-2")
}

func TestWhoeverLacksTheRightGetsNoNewToken(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL)
	_, err := c.stat(t, Any)
	good(t, err)
	h.asked()
	h.content = func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="hub",scope="%s",error="insufficient_scope"`, h.URL, nginxScope))
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, err = c.stat(t, Any)
	failing(t, err, Denied)
	h.expect(t, "HEAD "+latest+" with anonymous-1")
}

package events

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

// loopback lets deliveries go to the receivers of tests.
func loopback() Addresses { return Addresses{Allow: networks("127.0.0.0/8", "::1/128")} }

func deliveryTo(url string) metadata.Delivery {
	return metadata.Delivery{
		ID: 7, Event: metadata.Event{Kind: "push", Project: "demo", Repository: "demo/app"},
		Webhook: metadata.Webhook{ID: 1, Project: "demo", Name: "ci", URL: url},
	}
}

func TestADeliveryIsSignedAndSaysWhatItIs(t *testing.T) {
	got := make(chan *http.Request, 1)
	body := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body <- string(text)
		got <- r
	}))
	defer receiver.Close()
	status, err := newSender(loopback, "larder/1").post(t.Context(), deliveryTo(receiver.URL+"/hook?x=1"), "a secret of sixteen", []byte(`{"a":1}`))
	if err != nil || status != 200 {
		t.Fatalf("got %d, %v", status, err)
	}
	r := <-got
	want := map[string]string{
		"method": "POST", "target": "/hook?x=1", "body": `{"a":1}`, "Content-Type": "application/json", "User-Agent": "larder/1",
		"X-Larder-Event": "push", "X-Larder-Delivery": "7", "X-Larder-Webhook": "demo/ci",
		// printf '{"a":1}' | openssl dgst -sha256 -hmac 'a secret of sixteen'
		"X-Hub-Signature-256": "sha256=caa4775720d49242eb88da3949222458cd41c008a44471868774ff86d94ce44e",
	}
	seen := map[string]string{"method": r.Method, "target": r.RequestURI, "body": <-body}
	for name := range want {
		if value := r.Header.Get(name); value != "" {
			seen[name] = value
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
}

func TestNamesAreCheckedWhenTheConnectionIsMade(t *testing.T) {
	var asked atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer receiver.Close()
	named := strings.Replace(receiver.URL, "127.0.0.1", "localhost", 1)
	sender := newSender(func() Addresses { return Addresses{} }, "larder/1")
	for _, url := range []string{receiver.URL, named, strings.Replace(receiver.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), strings.Replace(receiver.URL, "127.0.0.1", "0.0.0.0", 1)} {
		status, err := sender.post(t.Context(), deliveryTo(url), "secret", nil)
		if status != 0 || err == nil || !strings.Contains(err.Error(), "nothing is delivered to") {
			t.Errorf("%s: %d, %v", url, status, err)
		}
	}
	if asked.Load() > 0 {
		t.Errorf("%d requests arrived", asked.Load())
	}
}

func TestAProxyOfTheEnvironmentIsNotAsked(t *testing.T) {
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	_, _ = newSender(loopback, "larder/1").post(t.Context(), deliveryTo("http://receiver.invalid/"), "secret", nil) // who answers for it is the machine's matter
	if asked.Load() > 0 {
		t.Errorf("the proxy was asked %d times", asked.Load())
	}
}

func TestWhatReceiversAnswer(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/endless":
			for range 100 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		case "/gone":
			http.Error(w, "secret words", http.StatusGone)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer receiver.Close()
	sender := newSender(loopback, "larder/1")
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/":        {202, ""},
		"/endless": {200, ""},
		"/gone":    {410, "the receiver answered 410 Gone"},
		"/moved":   {307, "the receiver answered 307 Temporary Redirect, and redirects are not followed: give the webhook the last address"},
	} {
		status, err := sender.post(t.Context(), deliveryTo(receiver.URL+path), "secret", nil)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if status != want.status || text != want.text {
			t.Errorf("%s: %d, %q", path, status, text)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("the redirect was followed")
	}
	receiver.Close()
	if _, err := sender.post(t.Context(), deliveryTo(receiver.URL+"/?token=hidden"), "secret", nil); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("of a receiver that is gone: %v", err)
	}
}

package hubsim

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const tooManyPulls = `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit. ` +
	`You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit"}]}`

func rateLimit(got answer) [3]string {
	return [3]string{
		got.header.Get("ratelimit-limit"), got.header.Get("ratelimit-remaining"), got.header.Get("docker-ratelimit-source"),
	}
}

func TestPullsAreCountedInARollingWindow(t *testing.T) {
	clock := newFakeClock()
	hub := start(t, Options{Clock: clock.Now, AnonymousLimit: 2, Window: time.Hour})
	hub.AddImage("library/nginx", "latest", Image{})
	b := newBrowser(t, hub)
	for _, step := range []struct {
		name      string
		advance   time.Duration
		method    string
		status    int
		remaining string
	}{
		{"a HEAD costs nothing", 0, http.MethodHead, 200, "2;w=3600"},
		{"a GET costs one", 0, http.MethodGet, 200, "1;w=3600"},
		{"and another", 40 * time.Minute, http.MethodGet, 200, "0;w=3600"},
		{"the third is refused", 0, http.MethodGet, 429, "0;w=3600"},
		{"a HEAD is not", 0, http.MethodHead, 200, "0;w=3600"},
		{"the first leaves the window", 20 * time.Minute, http.MethodHead, 200, "1;w=3600"},
		{"a GET is allowed again", 0, http.MethodGet, 200, "0;w=3600"},
	} {
		clock.Advance(step.advance)
		got := b.pull(step.method, "library/nginx", "manifests/latest")
		if got.status != step.status {
			t.Errorf("%s: status %d, want %d", step.name, got.status, step.status)
		}
		if diff := cmp.Diff([3]string{"2;w=3600", step.remaining, "127.0.0.1"}, rateLimit(got)); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", step.name, diff)
		}
		if step.status == 429 {
			if diff := cmp.Diff(tooManyPulls, got.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		}
	}
	if counted := hub.Counters().PullsCounted; counted != 3 {
		t.Errorf("pulls counted: %d, want 3", counted)
	}
}

func TestTheDefaultsAreDockersOwn(t *testing.T) {
	hub := start(t, Options{Accounts: []Account{{Username: "acme", Password: "secret"}}})
	b := newBrowser(t, hub)
	preview := "ratelimitpreview/test"
	got := b.pull(http.MethodHead, preview, "manifests/latest")
	if diff := cmp.Diff([3]string{"100;w=21600", "100;w=21600", "127.0.0.1"}, rateLimit(got)); diff != "" {
		t.Errorf("stranger (-want +got):\n%s", diff)
	}
	got = b.ask(http.MethodGet, hub.URL()+"/v2/"+preview+"/manifests/latest", b.bearer("acme:secret", "repository:"+preview+":pull"))
	limits := rateLimit(got)
	if diff := cmp.Diff([]string{"200;w=21600", "199;w=21600"}, limits[:2]); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	if limits[2] == "" || limits[2] == "acme" {
		t.Errorf("source of an account: %q", limits[2])
	}
	if hub.Remaining("") != 100 || hub.Remaining("acme") != 199 {
		t.Errorf("remaining: %d for strangers, %d for the account", hub.Remaining(""), hub.Remaining("acme"))
	}
}

func TestWhoIsUnmeteredSeesNoHeaders(t *testing.T) {
	accounts := []Account{{Username: "paid", Password: "secret", Limit: Unmetered}, {Username: "small", Password: "secret", Limit: 1}}
	for _, test := range []struct {
		name    string
		options Options
		login   string
		limit   string
	}{
		{"a paid account", Options{Accounts: accounts}, "paid:secret", ""},
		{"an account with its own limit", Options{Accounts: accounts}, "small:secret", "1;w=21600"},
		{"strangers without a limit", Options{AnonymousLimit: Unmetered}, "", ""},
		{"everyone at another registry", Options{Shape: Generic}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			hub := start(t, test.options)
			hub.AddImage("library/nginx", "latest", Image{})
			b := newBrowser(t, hub)
			token := b.bearer(test.login, "repository:library/nginx:pull")
			got := b.ask(http.MethodGet, hub.URL()+"/v2/library/nginx/manifests/latest", token)
			if limit := rateLimit(got)[0]; got.status != 200 || limit != test.limit {
				t.Errorf("status %d, limit %q, want 200 and %q", got.status, limit, test.limit)
			}
		})
	}
}

func TestEachAddressHasItsOwnLimit(t *testing.T) {
	hub := start(t, Options{AnonymousLimit: 1})
	hub.AddImage("library/nginx", "latest", Image{})
	for _, source := range []string{"127.0.0.1", "127.0.0.2"} {
		b := newBrowser(t, hub)
		tr := transport(t, hub)
		tr.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).DialContext
		b.client.Transport = tr
		got := b.pull(http.MethodGet, "library/nginx", "manifests/latest")
		if got.status != 200 || rateLimit(got)[2] != source {
			t.Errorf("from %s: status %d, source %q", source, got.status, rateLimit(got)[2])
		}
	}
}

func TestAStrangerIsMeteredByAddressOrIPv6Network(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:40000":                 "192.0.2.1",
		"[::ffff:192.0.2.1]:40000":        "192.0.2.1",
		"[2600:3c00:0:1:2:3:4:5]:40000":   "2600:3c00:0:1::",
		"[2600:3c00::f03c:91ff:fe96]:443": "2600:3c00::",
		"[fe80::1%eth0]:443":              "fe80::",
	} {
		if got := address(remote); got != want {
			t.Errorf("%s is metered as %s, want %s", remote, got, want)
		}
	}
}

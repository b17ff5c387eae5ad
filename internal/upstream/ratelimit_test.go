package upstream

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/oci"
)

func TestRateLimitHeaders(t *testing.T) {
	tests := []struct {
		value  string
		count  int64
		window time.Duration
		ok     bool
	}{
		{"100;w=21600", 100, 6 * time.Hour, true},
		{" 76 ; w=3600 ", 76, time.Hour, true},
		{"-12;w=21600", -12, 6 * time.Hour, true},
		{"100", 100, 0, true},
		{"100;burst=5;W=60", 100, time.Minute, true},
		{"100, 100;w=60", 100, 0, true},
		{"100;w=-1", 100, 0, true},
		{"100;w=99999999999999999", 100, maxWindow, true},
		{"", 0, 0, false},
		{"unlimited", 0, 0, false},
		{"99999999999999999999;w=1", 0, 0, false},
	}
	for _, test := range tests {
		t.Run(test.value, func(t *testing.T) {
			count, window, ok := parseRateLimit(test.value)
			if count != test.count || window != test.window || ok != test.ok {
				t.Errorf("got %d, %v, %v", count, window, ok)
			}
		})
	}
}

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"60", time.Minute},
		{" 0 ", 0},
		{"-5", 0},
		{"soon", 0},
		{"", 0},
		{"99999999999", maxRetryAfter},
		{"Fri, 01 May 2026 12:01:30 GMT", 90 * time.Second},
		{"Fri, 01 May 2026 11:00:00 GMT", 0},
		{"Fri, 01 May 2099 11:00:00 GMT", maxRetryAfter},
	}
	for _, test := range tests {
		t.Run(test.value, func(t *testing.T) {
			if got := parseRetryAfter(test.value, now); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzRateLimit(f *testing.F) {
	f.Add("100;w=21600")
	f.Add("-1;w=x;w=5")
	f.Fuzz(func(t *testing.T, value string) {
		_, window, ok := parseRateLimit(value)
		if window < 0 || window > maxWindow || !ok && window != 0 {
			t.Fatalf("%q has the window %v", value, window)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("60")
	f.Add("Fri, 01 May 2026 12:01:30 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if wait := parseRetryAfter(value, time.Unix(0, 0)); wait < 0 || wait > maxRetryAfter {
			t.Fatalf("%q waits %v", value, wait)
		}
	})
}

// metered answers manifests with Docker Hub's headers.
func metered(remaining map[string]string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, asker string) {
		if left, ok := remaining[asker]; ok {
			w.Header()["ratelimit-limit"] = []string{"100;w=21600"}
			w.Header()["ratelimit-remaining"] = []string{left + ";w=21600"}
			w.Header()["docker-ratelimit-source"] = []string{"192.0.2.1"}
		}
		manifestFor(w, r, asker)
	}
}

func TestWhatIsLeftIsReadFromEveryManifestAnswer(t *testing.T) {
	h := newHub(t)
	h.content = metered(map[string]string{"alice": "76", "anonymous": "-3"})
	c := dial(t, h.URL, as("alice"))
	_, err := c.stat(t, Any)
	good(t, err)
	_, err = c.Manifest(t.Context(), Anonymous.For(nobody), nginx, "latest")
	good(t, err)
	at := c.clock.Now()
	want := []Budget{
		{Credential: "alice", Username: "alice", Configured: true, Metered: true, Rate: Rate{Limit: 100, Remaining: 76, Window: 6 * time.Hour, Source: "192.0.2.1"}, At: at},
		{Credential: "anonymous", Metered: true, Rate: Rate{Limit: 100, Remaining: -3, Window: 6 * time.Hour, Source: "192.0.2.1"}, At: at},
	}
	if diff := cmp.Diff(want, c.Budget()); diff != "" {
		t.Error(diff)
	}
	for credential, left := range map[string]float64{"alice": 76, "anonymous": -3} {
		if got := testutil.ToFloat64(c.Registry.metrics.remaining.WithLabelValues("docker-hub", credential)); got != left {
			t.Errorf("%s has %v left in the metrics, want %v", credential, got, left)
		}
	}
}

func TestAnAnswerWithoutHeadersIsUnmetered(t *testing.T) {
	h := newHub(t)
	c := dial(t, h.URL)
	_, err := c.stat(t, Any)
	good(t, err)
	if diff := cmp.Diff([]Budget{{Credential: "anonymous"}}, c.Budget()); diff != "" {
		t.Error(diff)
	}
	if n, err := testutil.GatherAndCount(c.metrics, "larder_upstream_ratelimit_remaining"); n != 0 || err != nil {
		t.Errorf("%d gauges for what is not metered, %v", n, err)
	}
}

// limited429 refuses the pulls of some, as Docker Hub does.
func limited429(retryAfter string, askers ...string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, asker string) {
		for _, limited := range askers {
			if limited == asker && r.Method == http.MethodGet {
				if retryAfter != "" {
					w.Header().Set("Retry-After", retryAfter)
				}
				w.Header().Set("Ratelimit-Limit", "100;w=21600")
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = w.Write([]byte(limitText))
				return
			}
		}
		manifestFor(w, r, asker)
	}
}

func TestAUsedUpPullLimitRestsThatCredentialAndTheNextIsUsed(t *testing.T) {
	h := newHub(t)
	h.content = limited429("90", "alice")
	c := dial(t, h.URL, as("alice", "bob"))
	pull := func() error {
		_, err := c.Manifest(t.Context(), Any.For(nobody), nginx, "latest")
		return err
	}
	good(t, pull())
	h.expect(t, tokenFor("alice"), "GET "+latest+" with alice-1", tokenFor("bob"), "GET "+latest+" with bob-1")
	good(t, pull())
	h.expect(t, "GET "+latest+" with bob-1")
	_, err := c.stat(t, Any)
	good(t, err)
	h.expect(t, "HEAD "+latest+" with alice-1")
	c.clock.Pass(90 * time.Second)
	h.content = manifestFor
	good(t, pull())
	h.expect(t, "GET "+latest+" with alice-1")
}

func TestWhenEveryAllowanceIsUsedUpNothingIsAskedUntilTheFirstComesBack(t *testing.T) {
	h := newHub(t)
	h.content = limited429("", "alice", "anonymous")
	c := dial(t, h.URL, as("alice"))
	_, err := c.Manifest(t.Context(), Any.For(nobody), nginx, "latest")
	if e := failing(t, err, PullLimit); e.RetryAfter != 216*time.Second || e.Status != 429 {
		t.Errorf("the error is %+v, want the time in which the window frees one pull", e)
	}
	h.asked()
	c.clock.Pass(time.Minute)
	_, err = c.Manifest(t.Context(), Any.For(nobody), nginx, "latest")
	if e := failing(t, err, PullLimit); e.RetryAfter != 156*time.Second {
		t.Errorf("the error says to wait %v", e.RetryAfter)
	}
	h.expect(t)

	h.content = metered(map[string]string{"alice": "4"})
	_, err = c.stat(t, Any)
	good(t, err)
	_, err = c.Manifest(t.Context(), Any.For(nobody), nginx, "latest")
	good(t, err)
	h.expect(t, "HEAD "+latest+" with alice-1", "GET "+latest+" with alice-1")
}

func TestAnAbuseLimitRestsTheWholeUpstream(t *testing.T) {
	for _, retryAfter := range []string{"60", ""} {
		t.Run("Retry-After "+strconv.Quote(retryAfter), func(t *testing.T) {
			h := newHub(t)
			h.content = func(w http.ResponseWriter, _ *http.Request, _ string) {
				if retryAfter != "" {
					w.Header().Set("Retry-After", retryAfter)
				}
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = w.Write([]byte(abuseText))
			}
			c := dial(t, h.URL, as("alice", "bob"))
			_, err := c.stat(t, Any)
			if e := failing(t, err, AbuseLimit); e.RetryAfter != time.Minute {
				t.Errorf("the error says to wait %v", e.RetryAfter)
			}
			h.expect(t, tokenFor("alice"), "HEAD "+latest+" with alice-1")
			c.clock.Pass(20 * time.Second)
			_, err = c.stat(t, Anonymous)
			if e := failing(t, err, AbuseLimit); e.RetryAfter != 40*time.Second {
				t.Errorf("the error says to wait %v", e.RetryAfter)
			}
			h.expect(t)
			c.clock.Pass(40 * time.Second)
			h.content = manifestFor
			_, err = c.stat(t, Any)
			good(t, err)
		})
	}
}

func TestALimitOnWhatIsNoPullRestsEverythingOfThatCredential(t *testing.T) {
	h := newHub(t)
	h.content = func(w http.ResponseWriter, r *http.Request, asker string) {
		if asker == "alice" {
			status(429, "Retry-After", "90", "Content-Type", "application/json")(w, r)
			_, _ = w.Write([]byte(`{"message":"toomanyrequests: slow down"}`))
			return
		}
		manifestFor(w, r, asker)
	}
	c := dial(t, h.URL, as("alice"))
	_, err := c.Tags(t.Context(), Any.For(nobody), nginx, oci.TagPage{})
	good(t, err)
	h.asked()
	_, err = c.stat(t, Any)
	good(t, err)
	h.expect(t, "HEAD "+latest+" with anonymous-1")
	if until := c.Budget()[0].RestsUntil; !until.Equal(c.clock.Now().Add(90 * time.Second)) {
		t.Errorf("alice rests until %v", until)
	}
}

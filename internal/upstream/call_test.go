package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

// book is told of calls.
type book struct {
	mu    sync.Mutex
	calls []Call
}

func (b *book) report(c Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, c)
}

func (b *book) intoBook(c *Config) { c.Report = b.report }

// lines are the calls so far, each as one line.
func (b *book) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, c := range b.calls {
		all = append(all, fmt.Sprintf("%s %s %s %s %d %d for %s", c.Credential, c.Kind, c.Repository, c.Reference, c.Status, c.Bytes, c.For.User))
	}
	b.calls = nil
	return all
}

var carol = oci.Caller{User: "carol", Client: netip.MustParsePrefix("192.0.2.7/32"), Namespace: "shop", Workload: "web"}

func TestEveryCallIsReportedWithWhoPaysForIt(t *testing.T) {
	h, b := newHub(t), &book{}
	c := dial(t, h.URL, as("alice"), b.intoBook)
	_, err := c.Manifest(t.Context(), Any.For(carol), "nginx", "latest")
	good(t, err)
	_, err = c.StatManifest(t.Context(), Anonymous.For(nobody), nginx, "latest")
	good(t, err)
	body := len(missingText)
	want := []string{
		fmt.Sprintf("anonymous base   401 %d for carol", body),
		"alice token library/nginx  200 36 for carol",
		fmt.Sprintf("alice manifest_get library/nginx latest 200 %d for carol", len(manifestText)),
		"anonymous token library/nginx  200 40 for ",
		"anonymous manifest_head library/nginx latest 200 0 for ",
	}
	if diff := cmp.Diff(want, b.lines()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestACallTellsWhatTheAnswerSaidOfTheLimit(t *testing.T) {
	h, b := newHub(t), &book{}
	h.content = func(w http.ResponseWriter, r *http.Request, asker string) {
		w.Header().Set("RateLimit-Limit", "100;w=3600")
		w.Header().Set("RateLimit-Remaining", "-2;w=3600")
		w.Header().Set("Docker-RateLimit-Source", "192.0.2.1")
		manifestFor(w, r, asker)
	}
	c := dial(t, h.URL, b.intoBook)
	_, err := c.stat(t, Any)
	good(t, err)
	want := &Rate{Limit: 100, Remaining: -2, Window: time.Hour, Source: "192.0.2.1"}
	if diff := cmp.Diff(want, b.calls[len(b.calls)-1].Rate); diff != "" {
		t.Errorf("what a HEAD told (-want +got):\n%s", diff)
	}
}

func TestWhatUpstreamsCountAsAPull(t *testing.T) {
	tests := []struct {
		call           Call
		counted, image bool
	}{
		{Call{Kind: CallManifest, Status: 200}, true, true},
		{Call{Kind: CallManifest, Status: 200, Index: true}, true, false},
		{Call{Kind: CallManifestHead, Status: 200}, false, false},
		{Call{Kind: CallManifest, Status: 404}, false, false},
		{Call{Kind: CallManifest, Status: 429}, false, false},
		{Call{Kind: CallManifest, Status: 307}, false, false},
		{Call{Kind: CallManifest}, false, false},
		{Call{Kind: CallBlob, Status: 200}, false, false},
		{Call{Kind: CallToken, Status: 200}, false, false},
	}
	for _, test := range tests {
		if test.call.Counted() != test.counted || test.call.Image() != test.image {
			t.Errorf("%+v: counted %t, an image's %t", test.call, test.call.Counted(), test.call.Image())
		}
	}
}

func TestAListOfManifestsIsNoImage(t *testing.T) {
	for mediaType, index := range map[string]bool{
		v1.MediaTypeImageIndex: true, oci.MediaTypeDockerManifestList: true, v1.MediaTypeImageManifest: false, oci.MediaTypeDockerManifest: false,
	} {
		b := &book{}
		w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, manifestText)
		})
		_, err := dial(t, w.URL, b.intoBook).Manifest(t.Context(), Any.For(nobody), nginx, "latest")
		good(t, err)
		if got := b.calls[len(b.calls)-1].Index; got != index {
			t.Errorf("%s is a list: %t", mediaType, got)
		}
	}
}

func TestABlobIsReportedWhenItHasBeenRead(t *testing.T) {
	b := &book{}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") }))
	t.Cleanup(store.Close)
	w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", store.URL+"/signed?by=hub")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	d := digest.FromString("0123456789")
	body, err := dial(t, w.URL, b.intoBook).Blob(t.Context(), Any.For(carol), nginx, d, 0)
	good(t, err)
	_, err = io.ReadFull(body, make([]byte, 4))
	good(t, err)
	line := "library/nginx " + d.String()
	if diff := cmp.Diff([]string{"anonymous base   200 0 for carol", "anonymous blob " + line + " 307 0 for carol"}, b.lines()); diff != "" {
		t.Errorf("before the end (-want +got):\n%s", diff)
	}
	for range 2 { // closing again is no other call
		good(t, body.Close())
	}
	if diff := cmp.Diff([]string{"anonymous redirect " + line + " 200 4 for carol"}, b.lines()); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
}

func TestEveryTryIsACallOfItsOwn(t *testing.T) {
	b, tries := &book{}, 0
	w := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		manifestFor(w, r, "anonymous")
	})
	_, err := dial(t, w.URL, b.intoBook).stat(t, Any)
	good(t, err)
	want := []string{
		"anonymous base   200 0 for ",
		"anonymous manifest_head library/nginx latest 503 0 for ",
		"anonymous manifest_head library/nginx latest 503 0 for ",
		"anonymous manifest_head library/nginx latest 200 0 for ",
	}
	if diff := cmp.Diff(want, b.lines()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// The transport itself sends a request again when the connection that it took from an
// earlier one is dropped without an answer.
func TestAConnectionThatIsDroppedIsACallForEachTimeThatItWasSent(t *testing.T) {
	b, arrived := &book{}, 0
	w := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if arrived++; arrived < 3 {
			panic(http.ErrAbortHandler)
		}
		manifestFor(w, r, "anonymous")
	})
	_, err := dial(t, w.URL, b.intoBook).stat(t, Any)
	good(t, err)
	calls := b.lines()[1:]
	if len(calls) != arrived {
		t.Errorf("%d calls are reported, and %d arrived:\n%v", len(calls), arrived, calls)
	}
	for i, call := range calls {
		want := "anonymous manifest_head library/nginx latest 0 0 for "
		if i == len(calls)-1 {
			want = "anonymous manifest_head library/nginx latest 200 0 for "
		}
		if call != want {
			t.Errorf("call %d is %q, want %q", i, call, want)
		}
	}
}

func TestWhatWasNeverSentIsNoCall(t *testing.T) {
	b := &book{}
	_, err := dial(t, nobodyListens, b.intoBook).stat(t, Any)
	failing(t, err, Unavailable)
	if calls := b.lines(); len(calls) != 0 {
		t.Errorf("calls: %v", calls)
	}
}

func TestACallThatIsGivenUpWasMadeAllTheSame(t *testing.T) {
	b, asked := &book{}, make(chan struct{})
	w := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := dial(t, w.URL, b.intoBook).StatManifest(ctx, Any.For(carol), nginx, "latest"); err == nil {
		t.Error("it was answered")
	}
	if diff := cmp.Diff([]string{"anonymous base   200 0 for carol", "anonymous manifest_head library/nginx latest 0 0 for carol"}, b.lines()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

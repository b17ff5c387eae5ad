package hubsim

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// follow asks for a layer at the registry and returns where it is redirected.
func follow(b *browser, pushed Pushed) string {
	b.t.Helper()
	got := b.pull(http.MethodGet, "library/nginx", "blobs/"+pushed.Manifests[0].Layers[0].Digest.String())
	if got.status != http.StatusTemporaryRedirect {
		b.t.Fatalf("blob: status %d, want 307", got.status)
	}
	return got.header.Get("Location")
}

func TestABlobIsRedirectedToTheCDNUnderAShortLivedLink(t *testing.T) {
	clock := newFakeClock()
	hub := start(t, Options{Clock: clock.Now})
	pushed := hub.AddImage("library/nginx", "latest", Image{LayerSizes: []int64{5000}})
	b := newBrowser(t, hub)
	link := follow(b, pushed)
	if !strings.HasPrefix(link, hub.CDNURL()+"/") || !strings.Contains(link, "?verify=") {
		t.Errorf("link %s", link)
	}
	got := b.ask(http.MethodGet, link)
	if err := sameBytes(t, hub, pushed, got.body); got.status != 200 || err != nil {
		t.Errorf("status %d, %v", got.status, err)
	}
	forged := strings.Replace(link, "?verify=", "?verify=9", 1)
	if got := b.ask(http.MethodGet, forged); got.status != 403 {
		t.Errorf("a forged link: status %d, want 403", got.status)
	}
	unsigned, _, _ := strings.Cut(link, "?")
	if got := b.ask(http.MethodGet, unsigned); got.status != 403 {
		t.Errorf("an unsigned link: status %d, want 403", got.status)
	}
	clock.Advance(DefaultLinkLife)
	if got := b.ask(http.MethodGet, link); got.status != 403 {
		t.Errorf("an old link: status %d, want 403", got.status)
	}
}

func TestTheCDNServesRanges(t *testing.T) {
	hub := start(t, Options{})
	pushed := hub.AddImage("library/nginx", "latest", Image{LayerSizes: []int64{5000}})
	b := newBrowser(t, hub)
	link := follow(b, pushed)
	whole := b.ask(http.MethodGet, link).body
	got := b.ask(http.MethodGet, link, "Range: bytes=1234-")
	if got.status != 206 || got.body != whole[1234:] || got.header.Get("Content-Range") != "bytes 1234-4999/5000" {
		t.Errorf("status %d, %d bytes, Content-Range %q", got.status, len(got.body), got.header.Get("Content-Range"))
	}
	if got := b.ask(http.MethodGet, link, "Range: bytes=5000-"); got.status != 416 {
		t.Errorf("beyond the end: status %d, want 416", got.status)
	}
	if got := b.ask(http.MethodHead, link); got.status != 200 || got.header.Get("Content-Length") != "5000" {
		t.Errorf("HEAD: status %d, length %s", got.status, got.header.Get("Content-Length"))
	}
}

func TestABlobIsServedOnlyInRepositoriesThatLinkIt(t *testing.T) {
	hub := start(t, Options{})
	hub.AddImage("library/nginx", "latest", Image{})
	d := hub.AddBlob("acme/secret", []byte("secret"))
	got := newBrowser(t, hub).pull(http.MethodGet, "library/nginx", "blobs/"+d.String())
	if got.status != 404 || code(t, got) != "BLOB_UNKNOWN" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestCredentialsThatReachTheCDNAreNoticed(t *testing.T) {
	hub := start(t, Options{})
	pushed := hub.AddImage("library/nginx", "latest", Image{LayerSizes: []int64{5000}})
	b := newBrowser(t, hub)
	link := follow(b, pushed)
	b.ask(http.MethodGet, link)
	if leaked := hub.CredentialsLeaked(); len(leaked) > 0 {
		t.Errorf("leaked without a leak: %q", leaked)
	}
	b.ask(http.MethodGet, link, "Authorization: Bearer secret")
	want := []string{"GET cdn/" + pushed.Manifests[0].Layers[0].Digest.String()}
	if diff := cmp.Diff(want, hub.CredentialsLeaked()); diff != "" {
		t.Errorf("leaks (-want +got):\n%s", diff)
	}
}

func TestBlobsComeAsSlowlyAsTold(t *testing.T) {
	hub := start(t, Options{Shape: Generic, DirectBlobs: true, BlobLatency: 50 * time.Millisecond, BlobBandwidth: 1 << 20})
	pushed := hub.AddImage("library/nginx", "latest", Image{LayerSizes: []int64{128 << 10}})
	b := newBrowser(t, hub)
	begun := time.Now()
	got := b.pull(http.MethodGet, "library/nginx", "blobs/"+pushed.Manifests[0].Layers[0].Digest.String())
	if err := sameBytes(t, hub, pushed, got.body); err != nil {
		t.Error(err)
	}
	// The last piece may arrive before it has been waited for.
	if took, least := time.Since(begun), 50*time.Millisecond+90*time.Millisecond; took < least {
		t.Errorf("took %s, want at least %s", took, least)
	}
}

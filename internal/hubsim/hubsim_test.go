package hubsim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, options Options) *Hub {
	t.Helper()
	hub, err := Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	return hub
}

// transport trusts the hub's authority.
func transport(t *testing.T, hub *Hub) *http.Transport {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(hub.CAPEM())
	tr := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     true,
		ResponseHeaderTimeout: time.Minute,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// answer is a response, read to its end or to the error that ended it.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// browser asks the hub by hand, without following redirects.
type browser struct {
	t      *testing.T
	hub    *Hub
	client *http.Client
}

func newBrowser(t *testing.T, hub *Hub) *browser {
	t.Helper()
	return &browser{t: t, hub: hub, client: &http.Client{
		Transport:     transport(t, hub),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ask sends headers given as "Name: value".
func (b *browser) ask(method, address string, headers ...string) answer {
	b.t.Helper()
	return b.askWithin(b.t.Context(), method, address, headers...)
}

func (b *browser) askWithin(ctx context.Context, method, address string, headers ...string) answer {
	b.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, header := range headers {
		key, value, _ := strings.Cut(header, ": ")
		request.Header.Add(key, value)
	}
	response, err := b.client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(body), err: err}
}

// bearer is the header with a token; the login is "user:password" or empty.
func (b *browser) bearer(login string, scopes ...string) string {
	b.t.Helper()
	query := url.Values{"service": {"registry.docker.io"}, "scope": scopes}
	address, err := url.Parse(b.hub.AuthURL() + "/token?" + query.Encode())
	if err != nil {
		b.t.Fatal(err)
	}
	if user, password, ok := strings.Cut(login, ":"); ok {
		address.User = url.UserPassword(user, password)
	}
	got := b.ask(http.MethodGet, address.String())
	var token tokenAnswer
	if err := json.Unmarshal([]byte(got.body), &token); err != nil || got.status != http.StatusOK {
		b.t.Fatalf("token: status %d, body %q, error %v, %v", got.status, got.body, err, got.err)
	}
	return "Authorization: Bearer " + token.Token
}

// pull asks for a path of a repository with a fresh anonymous token.
func (b *browser) pull(method, repository, rest string, headers ...string) answer {
	b.t.Helper()
	headers = append(headers, b.bearer("", "repository:"+repository+":pull"))
	return b.ask(method, b.hub.URL()+"/v2/"+repository+"/"+rest, headers...)
}

// lines are the recorded requests as text.
func lines(hub *Hub) []string {
	var all []string
	for _, request := range hub.Requests() {
		all = append(all, request.String())
	}
	return all
}

// fakeClock is a clock that a test moves.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1_800_000_000, 0)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var twoPlatforms = []ocispec.Platform{
	{OS: "linux", Architecture: "amd64"},
	{OS: "linux", Architecture: "arm64", Variant: "v8"},
}

func TestARealClientPullsAWholeImage(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		image   Image
	}{
		{"of Docker Hub over HTTP", Options{}, Image{LayerSizes: []int64{70_000, 2048}}},
		{"of Docker Hub over HTTPS", Options{TLS: true}, Image{LayerSizes: []int64{70_000}, Platforms: twoPlatforms}},
		{"in Docker's format", Options{}, Image{LayerSizes: []int64{70_000}, Platforms: twoPlatforms, Format: Docker}},
		{"of another registry", Options{Shape: Generic, TokensOnRegistry: true, DirectBlobs: true}, Image{LayerSizes: []int64{70_000}}},
		{"of another registry that redirects", Options{Shape: Generic, TLS: true}, Image{LayerSizes: []int64{70_000}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The client takes no realm at a loopback address, but at its name.
			test.options.Hostname = "localhost"
			test.options.Accounts = []Account{{Username: "acme", Password: "secret", Repositories: []string{"acme/app"}}}
			hub := start(t, test.options)
			pushed := hub.AddImage("acme/app", "latest", test.image)
			hub.SetPrivate("acme/app", true)
			pullAndValidate(t, hub, "acme/app:latest", pushed)
			if leaked := hub.CredentialsLeaked(); len(leaked) > 0 {
				t.Errorf("credentials arrived at the CDN: %q", leaked)
			}
			if counters := hub.Counters(); (counters.CDNGETs == 0) != test.options.DirectBlobs {
				t.Errorf("blobs read from the CDN: %d", counters.CDNGETs)
			}
		})
	}
}

func pullAndValidate(t *testing.T, hub *Hub, reference string, pushed Pushed) {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(strings.TrimPrefix(hub.URL(), "https://"), "http://") + "/" + reference)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := remote.Get(ref, remote.WithTransport(transport(t, hub)), remote.WithContext(t.Context()),
		remote.WithAuth(&authn.Basic{Username: "acme", Password: "secret"}),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pushed.Digest.String(), descriptor.Digest.String()); diff != "" {
		t.Errorf("digest (-want +got):\n%s", diff)
	}
	image, err := descriptor.Image()
	if err != nil {
		t.Fatal(err)
	}
	// It reads every layer, unpacks it, and compares digests and diff IDs.
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
}

func TestTheSameImageHasTheSameBytesEverywhere(t *testing.T) {
	image := Image{Seed: 7, LayerSizes: []int64{5000, 100}, Platforms: twoPlatforms}
	first, second := start(t, Options{}), start(t, Options{})
	one, two := first.AddImage("a/b", "1", image), second.AddImage("c/d", "2", image)
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("same description, other image (-first +second):\n%s", diff)
	}
	image.Seed = 8
	if other := first.AddImage("a/b", "2", image); other.Digest == one.Digest {
		t.Errorf("another seed made the same image %s", other.Digest)
	}
}

func TestPushedTellsTheBytesOfEverything(t *testing.T) {
	hub := start(t, Options{})
	pushed := hub.AddImage("a/b", "1", Image{LayerSizes: []int64{5000, 100}, Platforms: twoPlatforms})
	want := int64(len(pushed.Raw)) + 2*(5000+100)
	for _, m := range pushed.Manifests {
		want += int64(len(m.Raw))
		config, ok := hub.OpenBlob(m.Config.Digest)
		if !ok {
			t.Fatalf("config %s is not stored", m.Config.Digest)
		}
		want += config.Size()
	}
	if pushed.Bytes != want {
		t.Errorf("bytes: %d, want %d", pushed.Bytes, want)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	hub, err := Start(Options{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	hub.Break(Fault{Kind: StalledBeforeHeaders, Path: BasePath})
	asked := make(chan answer)
	b := newBrowser(t, hub)
	go func() { asked <- b.ask(http.MethodGet, hub.URL()+"/v2/") }()
	waitFor(t, "the request to arrive", func() bool { return len(hub.Requests()) == 1 })
	hub.Close()
	if got := <-asked; got.err == nil {
		t.Errorf("stalled request was answered %d", got.status)
	}
	hub.Close()
}

func TestStartRefusesWhatCannotBe(t *testing.T) {
	running := start(t, Options{})
	taken := strings.TrimPrefix(running.URL(), "http://")
	for _, test := range []struct {
		name    string
		options Options
		want    string
	}{
		{"a port in use", Options{CDNAddr: taken}, "listening for the cdn on " + taken},
		{"an account twice", Options{Accounts: []Account{{Username: "a"}, {Username: "a"}}}, `"a" is empty or used twice`},
		{"a negative window", Options{Window: -time.Second}, "negative"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hub, err := Start(test.options)
			if err == nil {
				hub.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
}

func TestItListensWhereItIsTold(t *testing.T) {
	first, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(first.URL(), "http://")
	first.Close()
	second := start(t, Options{RegistryAddr: address})
	if diff := cmp.Diff("http://"+address, second.URL()); diff != "" {
		t.Errorf("URL (-want +got):\n%s", diff)
	}
}

// waitFor polls, with a bound.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// sameBytes compares a body with the blob it should be.
func sameBytes(t *testing.T, hub *Hub, pushed Pushed, body string) error {
	t.Helper()
	reader, ok := hub.OpenBlob(pushed.Manifests[0].Layers[0].Digest)
	if !ok {
		return errors.New("no such layer")
	}
	want, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, []byte(body)) {
		return fmt.Errorf("%d bytes that differ from the layer's %d", len(body), len(want))
	}
	return nil
}

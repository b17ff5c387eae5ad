package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/server"
	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/upstream"
)

// refreshLook is how often servers of tests look which tags are due to be refreshed.
const refreshLook = 60 * time.Millisecond

const adminPassword = "correct horse battery staple"

// stack is a client in front of a whole Larder in front of a simulated Docker Hub.
// Each test says what it sends, and what the Hub then saw.
type stack struct {
	t      *testing.T
	hub    *hubsim.Hub
	clock  *testkit.Clock
	client *http.Client
	larder *server.Server
	stop   func()
	data   string
	log    *testkit.Buffer
	args   []string
	file   string
	env    map[string]string
	change func(*server.Config) // what no setting can; nil for nothing
	// retention is how long after a start the rules of projects are kept to.
	retention time.Duration
	// patience is how long callers wait for a check of what is held, and timeouts bound what
	// an upstream is asked: unless a test is about them, so long that no machine meets them.
	patience time.Duration
	timeouts upstream.Timeouts
	ready    time.Duration // how long the readiness check may take; 0: as it does by itself
	// webhookPause is how long of the clock webhooks wait before they are told again.
	webhookPause time.Duration
}

// newStack starts both. Without a configuration file Larder is started as its
// documentation's shortest example does.
func newStack(t *testing.T, options hubsim.Options, file string) *stack {
	t.Helper()
	return newStackWith(t, options, func(*hubsim.Hub) string { return file })
}

// newStackWith is newStack for a configuration file that depends on the Hub.
func newStackWith(t *testing.T, options hubsim.Options, file func(*hubsim.Hub) string) *stack {
	t.Helper()
	s := &stack{
		t: t, clock: testkit.NewClock(time.Now()), data: t.TempDir(), log: &testkit.Buffer{}, env: map[string]string{},
		client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, patience: 30 * time.Second, webhookPause: time.Second,
	}
	t.Cleanup(s.client.CloseIdleConnections)
	options.Clock = s.clock.Now
	hub, err := hubsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	s.hub, s.file = hub, file(hub)
	s.args = []string{"--upstream", "docker-hub=" + hub.URL()}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

// start runs Larder on the stack's data folder.
func (s *stack) start() {
	s.t.Helper()
	config := s.load()
	if s.change != nil {
		s.change(&config)
	}
	larder, err := server.New(s.t.Context(), config, server.Options{
		Version: "test", AdminPassword: adminPassword, Notices: io.Discard,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Tuning: server.Tuning{
			Now: s.clock.Now, Retention: s.retention, Watch: 100 * time.Millisecond, Running: 50 * time.Millisecond, Refresh: refreshLook, Imports: 60 * time.Millisecond,
			Backoff:      func(int) time.Duration { return time.Millisecond },
			WebhookPause: func(int) time.Duration { return s.webhookPause }, Ready: s.ready,
			Cache: pullthrough.Limits{Patience: s.patience, MovePatience: 30 * time.Second, Check: time.Minute}, Upstream: s.timeouts,
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.larder = larder
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- larder.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		s.client.CloseIdleConnections()
		if err := <-ended; err != nil {
			s.t.Errorf("Larder ended with: %v", err)
		}
	})
}

// load reads the stack's flags, environment and file, as `larder serve` would.
func (s *stack) load() server.Config {
	s.t.Helper()
	flags := pflag.NewFlagSet("larder", pflag.ContinueOnError)
	bound := server.BindFlags(flags)
	args := append([]string{"--listen", "127.0.0.1:0", "--mirror-listen", "127.0.0.1:0", "--data", s.data}, s.args...)
	if s.file != "" {
		args = append(args, "--config", "larder.yaml")
	}
	if err := flags.Parse(args); err != nil {
		s.t.Fatal(err)
	}
	lookup := func(key string) (string, bool) { value, ok := s.env[key]; return value, ok }
	read := func(name string) ([]byte, error) {
		if name == "larder.yaml" {
			return []byte(s.file), nil
		}
		return server.ReadFile(name)
	}
	config, err := server.Load(bound, lookup, read)
	if err != nil {
		s.t.Fatal(err)
	}
	return config
}

// reload reads them again and puts them in force, as SIGHUP does.
func (s *stack) reload() {
	s.t.Helper()
	if err := s.larder.Reload(s.load()); err != nil {
		s.t.Fatal(err)
	}
}

// restart stops Larder and starts it again on the same data.
func (s *stack) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// losesPatience has callers get what is held after 0.3 s, whatever becomes of its check.
func (s *stack) losesPatience() {
	s.t.Helper()
	s.patience = 300 * time.Millisecond
	s.restart()
}

// givesUpSoon has an upstream that is silent count as one that has failed after seconds.
func (s *stack) givesUpSoon() {
	s.t.Helper()
	s.timeouts = upstream.Timeouts{Dial: time.Second, Headers: 3 * time.Second, Stall: 5 * time.Second, Request: 5 * time.Second}
	s.restart()
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (a answer) cache() string { return a.header.Get("Cache-Status") }

// request is one request of a client; zero fields are a stranger's plain GET on the
// main listener.
type request struct {
	method string
	path   string
	admin  bool
	mirror bool
	header map[string]string
	// token is an access token to log in with.
	token string
	body  string // JSON
}

func (s *stack) send(r request) answer {
	s.t.Helper()
	got, err := s.try(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// try is send for other goroutines than the test's own.
func (s *stack) try(ctx context.Context, r request) (answer, error) {
	resp, err := s.open(ctx, r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	body.Grow(int(min(max(0, resp.ContentLength), 64<<20)) + bytes.MinRead) // at once: with the race detector, copying takes long
	_, err = body.ReadFrom(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: body.Bytes(), err: err}, nil
}

func (s *stack) open(ctx context.Context, r request) (*http.Response, error) {
	if r.method == "" {
		r.method = http.MethodGet
	}
	address := s.larder.Addr()
	if r.mirror {
		address = s.larder.MirrorAddr()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "http://"+address.String()+r.path, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.admin {
		req.SetBasicAuth("admin", adminPassword)
	}
	if r.token != "" {
		req.SetBasicAuth("unused", r.token)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for key, value := range r.header {
		req.Header.Set(key, value)
	}
	return s.client.Do(req)
}

func (s *stack) get(path string) answer {
	s.t.Helper()
	return s.send(request{path: path})
}

func (s *stack) head(path string) answer {
	s.t.Helper()
	return s.send(request{method: http.MethodHead, path: path})
}

// wants fails unless the answer has this status and Cache-Status.
func (a answer) wants(t *testing.T, status int, cache string) answer {
	t.Helper()
	if a.status != status || a.cache() != cache {
		t.Fatalf("got %d with Cache-Status %q, want %d with %q\n%.300q", a.status, a.cache(), status, cache, a.body)
	}
	return a
}

// is fails unless the body is whole and has this digest.
func (a answer) is(t *testing.T, d digest.Digest) answer {
	t.Helper()
	if got := digest.FromBytes(a.body); a.err != nil || got != d {
		t.Fatalf("the body has digest %s (read error: %v), want %s", got, a.err, d)
	}
	return a
}

// hubSaw fails unless these were the requests to the Hub since the last call, in
// this order. Names of digests make the lines short.
func (s *stack) hubSaw(names map[string]string, want ...string) {
	s.t.Helper()
	var got []string
	for _, r := range s.hub.Requests() {
		line := r.String()
		for digest, name := range names {
			line = strings.ReplaceAll(line, digest, name)
		}
		got = append(got, line)
	}
	s.hub.ResetRequests()
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("what the Hub saw (-want +got):\n%s", diff)
	}
}

// names gives what was pushed short names for hubSaw.
func names(pushed hubsim.Pushed) map[string]string {
	short := map[string]string{}
	if len(pushed.Manifests) != 1 || pushed.Manifests[0].Digest != pushed.Digest {
		short[pushed.Digest.String()] = "INDEX"
	}
	for i, m := range pushed.Manifests {
		letter := string(rune('A' + i))
		short[m.Digest.String()] = "MANIFEST-" + letter
		short[m.Config.Digest.String()] = "CONFIG-" + letter
		for j, l := range m.Layers {
			short[l.Digest.String()] = "LAYER-" + letter + string(rune('1'+j))
		}
	}
	return short
}

var bothPlatforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

// small is an image that tests can pull whole.
func small(seed uint64) hubsim.Image {
	return hubsim.Image{Seed: seed, LayerSizes: []int64{60_000}}
}

// writeFile makes a file for a configuration to name.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

package pullthrough_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// bob has an account at the registry and no right to read.
var bob = upstream.Credential{Username: "bob", Password: "bob-secret"}

// plain is a registry with one manifest, NAME:1, that answers each account with a
// status of its own, which the simulated Docker Hub does not do.
type plain struct {
	manifest []byte
	// status is what an account is answered, "" being strangers; 200 when nil.
	status func(account string) int
	// mute leaves Docker-Content-Digest out.
	mute bool
}

func (p *plain) start(t *testing.T) (address string) {
	t.Helper()
	served := httptest.NewServer(p)
	t.Cleanup(served.Close)
	return served.URL
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		account, _, _ := r.BasicAuth()
		_, _ = fmt.Fprintf(w, `{"token": "token-of-%s"}`, account)
		return
	}
	account, shown := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer token-of-")
	if !shown {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="plain"`, r.Host))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if p.status != nil && p.status(account) != http.StatusOK {
		w.Header().Set("Retry-After", "1") // so that nobody tries again within the call
		w.WriteHeader(p.status(account))
		return
	}
	d := digest.FromBytes(p.manifest)
	if !strings.HasSuffix(r.URL.Path, "/manifests/1") && !strings.HasSuffix(r.URL.Path, "/manifests/"+d.String()) {
		http.NotFound(w, r)
		return
	}
	if !p.mute {
		w.Header().Set("Docker-Content-Digest", d.String())
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	_, _ = w.Write(p.manifest)
}

// onlyFor shows a registry to one account and nothing to strangers.
func onlyFor(entitled string) func(string) int {
	return func(account string) int {
		if account == entitled {
			return http.StatusOK
		}
		return http.StatusNotFound
	}
}

// gate is a registry whose blob comes when a test lets it come.
type gate struct {
	digest digest.Digest // of what the registry claims to have
	// parts are sent one after the other, each when a test calls next.
	parts [][]byte
	// chunked keeps the size to itself.
	chunked bool
	// hides are repositories that do not have the blob.
	hides []string

	let   chan struct{}
	gets  atomic.Int64
	heads atomic.Int64
	once  sync.Once
}

// start gives everything to who is still waiting when the test ends.
func (g *gate) start(t *testing.T) (address string) {
	t.Helper()
	g.let = make(chan struct{})
	served := httptest.NewServer(g)
	t.Cleanup(func() { g.open(); served.Close() })
	return served.URL
}

// next lets one more part, or the answer's headers, come.
func (g *gate) next() { g.let <- struct{}{} }

// open lets everything come.
func (g *gate) open() { g.once.Do(func() { close(g.let) }) }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, name := range g.hides {
		if strings.HasPrefix(r.URL.Path, "/v2/"+name+"/") {
			http.NotFound(w, r)
			return
		}
	}
	if r.URL.Path == "/v2/" {
		return
	}
	size := 0
	for _, part := range g.parts {
		size += len(part)
	}
	if !g.chunked {
		w.Header().Set("Content-Length", fmt.Sprint(size))
	}
	if r.Method == http.MethodHead {
		g.heads.Add(1)
		return
	}
	g.gets.Add(1)
	for _, part := range append([][]byte{nil}, g.parts...) {
		select {
		case <-g.let:
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(part)
		_ = http.NewResponseController(w).Flush()
	}
	if g.chunked {
		select {
		case <-g.let:
		case <-r.Context().Done():
		}
	}
}

// gated is a bench with a cache of a gate's registry.
func gated(t *testing.T, g *gate) (*bench, oci.Repository, func(oci.Caller, oci.Repository) (oci.Blob, oci.Served, error)) {
	t.Helper()
	b := newBench(t)
	cache := b.open("plain", g.start(t), nil)
	return b, "plain/acme/app", func(caller oci.Caller, repo oci.Repository) (oci.Blob, oci.Served, error) {
		return cache.Blob(t.Context(), caller, repo, g.digest)
	}
}

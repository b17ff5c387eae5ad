package pulllimit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
	"github.com/larder-registry/larder/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const app = oci.Repository("demo/app")

// house is a database and the processes that count in it.
type house struct {
	t     *testing.T
	db    *metadata.DB
	clock *testkit.Clock
}

func newHouse(t *testing.T) *house {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &house{t: t, db: db, clock: testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))}
}

// process is one that counts; of several, shared is true.
func (h *house) process(shared bool) *Limiter {
	h.t.Helper()
	l, err := Open(h.t.Context(), Config{
		Store: h.db.LimitCounters, Shared: shared, Metrics: NewMetrics(prometheus.NewRegistry()),
		Now: h.clock.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (h *house) exchange(all ...*Limiter) {
	h.t.Helper()
	for _, l := range all {
		if err := l.exchange(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// shutdown ends a process as a server does.
func (h *house) shutdown(l *Limiter) {
	ctx, cancel := context.WithCancel(h.t.Context())
	cancel()
	l.Run(ctx)
}

func limit(most int, window time.Duration) ratelimit.Limit {
	return ratelimit.Limit{Most: most, Window: window}
}

func stranger(address string) Caller {
	return Caller{Identity: authn.Anonymous(), Address: netip.MustParseAddr(address)}
}

func user(name string, groups ...string) Caller {
	return Caller{Identity: authn.Identity{User: name, Groups: append(groups, authn.GroupAuthenticated)}, Address: netip.MustParseAddr("192.0.2.1")}
}

var latest = oci.Reference{Tag: "latest"}

func byDigest(m oci.Manifest) oci.Reference { return oci.Reference{Digest: m.Digest} }

// image is a manifest of one platform.
func image(seed string) oci.Manifest {
	return manifest(v1.MediaTypeImageManifest, v1.Manifest{MediaType: v1.MediaTypeImageManifest, Annotations: map[string]string{"seed": seed}})
}

func index(children ...oci.Manifest) oci.Manifest {
	all := v1.Index{MediaType: v1.MediaTypeImageIndex}
	for _, c := range children {
		all.Manifests = append(all.Manifests, v1.Descriptor{MediaType: c.MediaType, Digest: c.Digest, Size: int64(len(c.Content))})
	}
	return manifest(v1.MediaTypeImageIndex, all)
}

func manifest(mediaType string, v any) oci.Manifest {
	content, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return oci.Manifest{MediaType: mediaType, Digest: digest.FromBytes(content), Content: content}
}

// pull is a GET that is answered with the manifest, if it is let through.
func pull(t *testing.T, ls *Limits, c Caller, repo oci.Repository, ref oci.Reference, m oci.Manifest) (pulled bool) {
	t.Helper()
	p, err := ls.Take(c, repo, ref)
	if reached, ok := errors.AsType[*ReachedError](err); err != nil && (!ok || reached.Wait <= 0) {
		t.Fatalf("the error is %v", err)
	}
	if err != nil {
		return false
	}
	p.Served(m)
	p.GiveBack() // as a deferred call does
	return true
}

// pulls is how many of some GETs by tag are let through.
func pulls(t *testing.T, ls *Limits, c Caller, repo oci.Repository, tries int) (pulled int) {
	t.Helper()
	for range tries {
		if pull(t, ls, c, repo, latest, image("")) {
			pulled++
		}
	}
	return pulled
}

func remaining(t *testing.T, ls *Limits, c Caller, project string) int {
	t.Helper()
	s, limited := ls.Standing(c, project)
	if !limited {
		return -1
	}
	return s.Remaining
}

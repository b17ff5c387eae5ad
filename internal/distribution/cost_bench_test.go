package distribution_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/failures"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// asCache resolves every name to a cache project, of which failures are kept.
type asCache struct{ distribution.Resolver }

func (a asCache) Resolve(ctx context.Context, name, ns string) (distribution.Target, error) {
	target, err := a.Resolver.Resolve(ctx, name, ns)
	target.Kind = metadata.Cache
	return target, err
}

// BenchmarkWhatLimitsAndExplanationsCostAWarmPull pulls a cached manifest from two
// registries in turns, which differ in one thing: one counts pulls against a limit and
// keeps what fails, the other does neither. The ratio is the median of the turns'.
func BenchmarkWhatLimitsAndExplanationsCostAWarmPull(b *testing.B) {
	const turn = 20 // pulls of each registry, before it is the other's turn
	f := newFixture(b)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil))
	f.give("demo", authz.RoleRegistryViewer, authz.User("bob"))
	token := f.issue("bob", scope("demo/app", "pull"))
	limiter, err := pulllimit.Open(b.Context(), pulllimit.Config{
		Store: f.db.LimitCounters, Metrics: pulllimit.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	kept := failures.New(f.db.Failures, time.Now, slog.New(slog.DiscardHandler))
	b.Cleanup(kept.Close)
	with, without := f.config, f.config
	with.Resolver, without.Resolver = asCache{f.resolver}, asCache{f.resolver}
	with.Failures, without.Failures, without.PullLimits = kept, nil, nil
	with.PullLimits = limiter.With(pulllimit.Rules{Authenticated: ratelimit.Limit{Most: 1_000_000_000, Window: 6 * time.Hour}})
	on, off := httptest.NewServer(distribution.New(with)), httptest.NewServer(distribution.New(without))
	b.Cleanup(on.Close)
	b.Cleanup(off.Close)
	pulls := func(s *httptest.Server, limited bool) time.Duration {
		began := time.Now()
		for range turn {
			pullWarm(b, s, token, limited)
		}
		return time.Since(began)
	}
	pulls(on, true)
	pulls(off, false)
	var took time.Duration
	var ratios []float64
	for b.Loop() {
		before := pulls(off, false)
		counting := pulls(on, true)
		after := pulls(off, false) // the machine may have become slower, or faster
		took += counting
		ratios = append(ratios, 2*float64(counting)/float64(before+after))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "times-off")
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*turn), "ns/pull")
	b.ReportMetric(0, "ns/op")
}

func pullWarm(b *testing.B, s *httptest.Server, token string, limited bool) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+"/v2/demo/app/manifests/v1", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	got, err := s.Client().Do(r)
	if err != nil {
		b.Fatal(err)
	}
	_, err = io.Copy(io.Discard, got.Body)
	_ = got.Body.Close()
	if err != nil || got.StatusCode != http.StatusOK || (got.Header.Get("RateLimit-Limit") != "") != limited {
		b.Fatal(got.Status, got.Header, err)
	}
}

package distribution_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// BenchmarkAWarmPullUnderALimit reads a manifest that was read before, with a limit on
// pulls and without: the difference is what counting costs.
func BenchmarkAWarmPullUnderALimit(b *testing.B) {
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
	limits := limiter.With(pulllimit.Rules{Authenticated: ratelimit.Limit{Most: 1_000_000_000, Window: 6 * time.Hour}})
	for _, limited := range []struct {
		name   string
		limits distribution.PullLimits
	}{{"without", nil}, {"with", limits}, {"without again", nil}, {"with again", limits}} {
		b.Run(limited.name, func(b *testing.B) {
			f.config.PullLimits = limited.limits
			f.Config.Handler = distribution.New(f.config)
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, f.URL+"/v2/demo/app/manifests/v1", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			for b.Loop() {
				got, err := f.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, err = io.Copy(io.Discard, got.Body)
				_ = got.Body.Close()
				if err != nil || got.StatusCode != http.StatusOK || (got.Header.Get("RateLimit-Limit") != "") != (limited.limits != nil) {
					b.Fatal(got.Status, got.Header, err)
				}
			}
		})
	}
}

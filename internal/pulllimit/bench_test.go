package pulllimit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// BenchmarkAPull counts pulls of one account, each of them at a time of its own, and such
// that are refused.
func BenchmarkAPull(b *testing.B) {
	for _, tt := range []struct {
		name  string
		limit ratelimit.Limit
		pass  time.Duration
		pulls bool
	}{
		{"let through", limit(1000, time.Hour), time.Hour/1000 + 1, true},
		{"refused", limit(1000, time.Hour), 0, false},
	} {
		b.Run(tt.name, func(b *testing.B) {
			now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
			l := newLimiter(Config{Metrics: NewMetrics(prometheus.NewRegistry()), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
			ls, caller, m := l.With(Rules{Authenticated: tt.limit}), user("alice"), image("")
			for range tt.limit.Most {
				p, _ := ls.Take(caller, app, latest)
				p.Served(m)
				now = now.Add(tt.pass)
			}
			for b.Loop() {
				now = now.Add(tt.pass)
				p, err := ls.Take(caller, app, latest)
				if (err == nil) != tt.pulls {
					b.Fatal(err)
				}
				p.Served(m)
				p.GiveBack()
			}
		})
	}
}

// BenchmarkAManifestBesideIndexesThatWait counts pulls of a manifest by digest of somebody
// who has pulled as many indexes as are kept, of two images in turns.
func BenchmarkAManifestBesideIndexesThatWait(b *testing.B) {
	l := newLimiter(Config{Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)})
	ls, caller, m := l.With(Rules{Authenticated: limit(1_000_000_000, time.Hour)}), user("alice"), image("alone")
	both := []oci.Manifest{index(image("a")), index(image("b"))}
	for i := range maxHalves {
		p, _ := ls.Take(caller, app, latest)
		p.Served(both[i%2])
	}
	for b.Loop() {
		p, _ := ls.Take(caller, app, byDigest(m))
		p.Served(m)
	}
}

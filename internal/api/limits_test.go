package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
)

func TestCallersAreToldWhatTheyHaveLeft(t *testing.T) {
	f := newFixture(t)
	ask := func(query string) (got PullLimit) {
		t.Helper()
		f.want(f.do(admin, http.MethodGet, "/api/v1/limits"+query, ""), 200, &got)
		return got
	}
	if diff := cmp.Diff(PullLimit{}, ask("")); diff != "" {
		t.Errorf("without limits (-want +got):\n%s", diff)
	}

	clock := func() time.Time { return f.now }
	limiter, err := pulllimit.Open(t.Context(), pulllimit.Config{
		Store: f.db.LimitCounters, Metrics: pulllimit.NewMetrics(prometheus.NewRegistry()), Now: clock, Log: f.config.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	limits := limiter.With(pulllimit.Rules{
		Authenticated: ratelimit.Limit{Most: 2, Window: time.Hour}, Projects: map[string]ratelimit.Limit{"heavy": {Most: 5, Window: time.Minute}},
	})
	f.config.PullLimits = limits
	f.handler = New(f.config)
	begun := f.now
	for i, want := range []PullLimit{
		{Limited: true, Limit: 2, Remaining: 2, Window: 3600, Source: "admin"},
		{Limited: true, Limit: 2, Remaining: 1, Window: 3600, Source: "admin", ResetsAt: at(begun.Add(time.Hour))},
		{Limited: true, Limit: 2, Remaining: 0, Window: 3600, Source: "admin", NextAt: at(begun.Add(time.Hour)), ResetsAt: at(begun.Add(61 * time.Minute))},
	} {
		if diff := cmp.Diff(want, ask("")); diff != "" {
			t.Errorf("after %d pulls (-want +got):\n%s", i, diff)
		}
		if pull, err := limits.Take(pulllimit.Caller{Identity: authn.Identity{User: "admin"}}, "demo/app", oci.Reference{Tag: "1"}); err == nil {
			pull.Served(oci.Manifest{})
		}
		f.now = f.now.Add(time.Minute)
	}

	if err := f.db.Projects.Create(t.Context(), metadata.Project{Name: "heavy", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	want := PullLimit{Limited: true, Limit: 5, Remaining: 5, Window: 60, Source: "admin", Project: "heavy"}
	if diff := cmp.Diff(want, ask("?project=heavy")); diff != "" {
		t.Errorf("of a project (-want +got):\n%s", diff)
	}
	f.wantProblem(f.do(admin, http.MethodGet, "/api/v1/limits?project=none", ""), 404)
	f.wantProblem(f.do(nobody, http.MethodGet, "/api/v1/limits", ""), 401)
}

func at(t time.Time) *time.Time { return &t }

package server

import (
	"context"
	"time"

	"github.com/larder-registry/larder/internal/sleep"
	"github.com/larder-registry/larder/internal/warm"
)

const (
	// refreshEvery is how often it is looked which tags are due to be refreshed.
	refreshEvery = time.Minute
	// refreshPauses is how many tags an upstream is asked for in that time, at most.
	refreshPauses = 60
)

func (s *Server) newRefresher() *warm.Refresher {
	return warm.NewRefresher(warm.RefresherConfig{
		Tags: s.floor.DB.Tags, Held: s.floor.held, Open: s.openRefreshed, Pause: s.refreshLook() / refreshPauses,
		Metrics: warm.NewRefreshMetrics(s.metrics), Now: s.options.Tuning.Now, Log: s.log,
	})
}

func (s *Server) refreshLook() time.Duration {
	if every := s.options.Tuning.Refresh; every > 0 {
		return every
	}
	return refreshEvery
}

// refreshTags keeps tags fresh before anybody pulls them, until ctx ends. Of several processes
// on one database one does it as long as it runs: it remembers which upstreams rest, what they
// do not show, and what has still to come.
func (s *Server) refreshTags(ctx context.Context) {
	for ctx.Err() == nil {
		if len(s.refreshed()) > 0 {
			s.floor.alone(ctx, "refresh", s.takeTurns)
		}
		_ = sleep.For(ctx, s.refreshLook()) // the loop looks whether ctx has ended
	}
}

// takeTurns lets upstreams have their turns, one after the other and again and again, while
// there are any to refresh.
func (s *Server) takeTurns(ctx context.Context) {
	for {
		names := s.refreshed()
		for _, name := range names {
			s.refresher.Turn(ctx, name)
		}
		if len(names) == 0 {
			return
		}
		if sleep.For(ctx, s.refreshLook()) != nil {
			return
		}
	}
}

// refreshed are the upstreams whose tags are kept fresh.
func (s *Server) refreshed() (names []string) {
	g := s.generation()
	defer g.requests.Done()
	for _, u := range g.upstreams {
		if u.Refresh.Every > 0 {
			names = append(names, u.Name)
		}
	}
	return names
}

// openRefreshed finds an upstream in the configuration that is in force, which does not end
// before it is closed.
func (s *Server) openRefreshed(name string) (warm.Refreshed, bool) {
	g := s.generation()
	for i, u := range g.upstreams {
		if u.Name == name && u.Refresh.Every > 0 {
			return warm.Refreshed{Refresh: u.Refresh, Cache: g.caches[i], Close: g.requests.Done}, true
		}
	}
	g.requests.Done()
	return warm.Refreshed{}, false
}

package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"time"

	"github.com/larder-registry/larder/internal/credentials"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// hooksLease is how long another process leaves the webhooks to one that was killed,
	// hooksRetry how long it waits before it asks again.
	hooksLease = 15 * time.Second
	hooksRetry = 3 * time.Second
)

// hooking is what a configuration says of webhooks and their payloads.
type hooking struct {
	addresses events.Addresses
	publicURL *url.URL // nil: not known
	public    func(ctx context.Context, repository string) (bool, error)
}

func newHooking(config Config, images *distribution.Handler) hooking {
	return hooking{
		addresses: events.Addresses{Allow: config.Webhooks.Allow}, publicURL: config.PublicURL,
		public: func(ctx context.Context, repository string) (bool, error) {
			_, public, err := images.Public(ctx, repository)
			return public, err
		},
	}
}

// newHooks makes what delivers to webhooks, by the configuration in force.
func (s *Server) newHooks() *events.Hooks {
	return events.NewHooks(events.HooksConfig{
		Store: s.floor.DB.Webhooks, Repositories: s.floor.DB.Repositories, Projects: s.floor.DB.Projects,
		Secrets:   credentials.WebhookSecrets{Key: s.key},
		Addresses: s.webhookAddresses,
		Public: func(ctx context.Context, repository string) (bool, error) {
			g := s.generation()
			defer g.requests.Done()
			return g.hooks.public(ctx, repository)
		},
		RepositoryURL: func(repo oci.Repository) string {
			g := s.generation()
			defer g.requests.Done()
			if g.hooks.publicURL == nil {
				return ""
			}
			return g.hooks.publicURL.JoinPath("v2", "repositories", repo.String()).String() + "/"
		},
		UserAgent: "larder/" + s.options.Version, Record: s.floor.events.Record,
		Metrics: events.NewHookMetrics(s.metrics, s.floor.DB.Webhooks.Counts), Now: s.options.Tuning.Now, Pause: s.options.Tuning.WebhookPause, Log: s.log,
	})
}

func (s *Server) webhookAddresses() events.Addresses {
	g := s.generation()
	defer g.requests.Done()
	return g.hooks.addresses
}

func (s *Server) webhookCreator() *events.Creator {
	return &events.Creator{
		Store: s.floor.DB.Webhooks, Sealer: credentials.WebhookSecrets{Key: s.key},
		Addresses: s.webhookAddresses, Now: s.options.Tuning.Now,
	}
}

// tellWebhooks delivers to webhooks until ctx ends. Of several processes on one database
// one does it, as long as it holds the lease.
func (s *Server) tellWebhooks(ctx context.Context) {
	if !s.floor.DB.Shared() {
		s.hooks.Run(ctx)
		return
	}
	for ctx.Err() == nil {
		lease := metadata.Lease{Name: "webhooks", Holder: rand.Text()}
		err := s.floor.DB.Leases.Hold(ctx, lease, hooksLease, func(ctx context.Context) error {
			s.hooks.Run(ctx)
			return nil
		})
		if err != nil && !errors.Is(err, metadata.ErrLeased) && ctx.Err() == nil {
			s.log.Warn("keeping the webhooks from other replicas; it is tried again", "error", err)
		}
		_ = sleep.For(ctx, hooksRetry) // the loop looks whether ctx has ended
	}
}

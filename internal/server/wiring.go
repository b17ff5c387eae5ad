package server

import (
	"context"
	"net/http"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/hubapi"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/telemetry"
)

// distributionConfig is what OCI Distribution is served from.
func (s *Server) distributionConfig(config Config, names *names, clients *telemetry.ClientAddress, limits *pulllimit.Limits) distribution.Config {
	f := s.floor
	var reload func(ctx context.Context, project string) error
	if roles, _ := f.ownRoles(); roles != nil {
		reload = roles.Reload
	}
	return distribution.Config{
		Hosted: f.held, Resolver: names, Projects: f.roles, Reload: reload,
		Authenticator: f.asks, AccessTokens: f.who, Cursors: f.who, Authorizer: f.may,
		Origin: origin(config, clients), Address: clients.Of, Strangers: admitted(config, clients),
		Pulls: f.pulls, PullLimits: limits, Failures: f.failures, Mirrored: s.nodePulls.Note,
		Events: f.events, Log: s.log,
	}
}

// apiConfig is what the API is served from, but for logins at an issuer.
func (s *Server) apiConfig(config Config, g *generation, names *names, clients *telemetry.ClientAddress, limits *pulllimit.Limits) api.Config {
	f := s.floor
	roles, cluster := f.ownRoles()
	found := images{f.held, s}
	return api.Config{
		Authenticator: f.asks, Authorizer: f.may, Cursors: f.who, Origin: origin(config, clients), Address: clients.Of,
		Projects: f.DB.Projects, ProjectMaker: f.roles, Roles: roles, Cluster: cluster,
		Users: f.DB.Users, Groups: f.DB.Groups, Tokens: f.DB.Tokens, Accounts: authn.NewAccounts(f.who, f.DB.Users, f.DB.Groups),

		Repositories: f.DB.Repositories, Stars: f.DB.Stars, Histories: f.DB.Tags, Images: found, Shows: found.Shows,
		Importer: s.importer(), Imports: f.DB.Imports,
		Pins: f.DB.Pins, Seen: s.seen(g.running), Pulled: f.DB.Manifests, Warmer: g.warmer,
		Webhooks: f.DB.Webhooks, Deliveries: f.DB.Webhooks, WebhookCreator: s.webhookCreator(),

		Ledger: f.ledger, PullLimits: limits, UpstreamCredentials: s.lender, Failures: f.failures, Rewriting: s.rewriting(config, names),

		Retentions: f.DB.Retentions, Retention: s.retention(), Collector: f.gc, Checker: checker{f.held, s},
		Backups: backups{db: f.DB, blobs: f.Blobs}, Leases: f.DB.Leases, SpoolDir: f.Data.Path(),
		Events: f.events, Version: s.options.Version, Commit: s.options.Commit, Log: s.log,
	}
}

// hubAPI serves what is there in the form that Docker Hub has.
func (s *Server) hubAPI(names *names, registry *distribution.Handler) http.Handler {
	return hubapi.New(hubapi.Config{
		Viewer: func(w http.ResponseWriter, r *http.Request) (hubapi.See, error) { return registry.Viewer(w, r) }, Public: registry.Public,
		Repositories: s.floor.DB.Repositories, Tags: s.floor.DB.Tags, Images: s.floor.held, Hub: names.registries[hubRegistry],
		Now: s.options.Tuning.Now, Log: s.log,
	})
}

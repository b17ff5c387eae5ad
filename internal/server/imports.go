package server

import (
	"context"
	"errors"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// importer takes images from other registries into hosted projects.
func (s *Server) importer() *imports.Importer {
	return imports.New(imports.Config{
		Imports: s.floor.DB.Imports, Leases: s.floor.DB.Leases, Hosted: s.floor.held,
		Source: s.importSource, Member: s.importsAsMember, Pause: s.options.Tuning.Imports, Now: s.options.Tuning.Now, Log: s.log,
	})
}

// importsAsMember decides by what is known of a user who is not logged in. Of those whose
// accounts a cluster keeps that is their name: what they may by groups does not count.
func (s *Server) importsAsMember(ctx context.Context, user, project string) (bool, error) {
	u, err := s.floor.DB.Users.Get(ctx, user)
	if errors.Is(err, metadata.ErrNotFound) && s.floor.cluster != nil {
		u, err = metadata.User{Name: user}, nil
		u.Project, _, _ = authn.ParseServiceAccount(user)
	}
	if errors.Is(err, metadata.ErrNotFound) || err == nil && u.Disabled {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return authz.ImportsAsMember(ctx, s.floor.may.Allowed, authn.IdentityOf(u, s.options.Tuning.Now()), project)
}

// importSource reads a host by the upstream that it is configured as, with its
// credentials, and any other as a stranger.
func (s *Server) importSource(host string) (imports.Source, error) {
	g := s.generation()
	if source, ok := g.sources[strings.ToLower(host)]; ok {
		source.Close = g.requests.Done // the generation does not end before the import
		return source, nil
	}
	g.requests.Done()
	return imports.Public(host, upstream.Config{
		UserAgent: "larder/" + s.options.Version, Timeouts: s.options.Tuning.Upstream, Now: s.options.Tuning.Now,
		Report: s.floor.ledger.Book,
	}, s.floor.upstreamMetrics, s.log)
}

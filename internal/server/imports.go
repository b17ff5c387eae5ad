package server

import (
	"strings"

	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/upstream"
)

// importer takes images from other registries into hosted projects.
func (s *Server) importer() *imports.Importer {
	return imports.New(imports.Config{
		Imports: s.floor.DB.Imports, Leases: s.floor.DB.Leases, Hosted: s.floor.held,
		Source: s.importSource, Now: s.options.Tuning.Now, Log: s.log,
	})
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

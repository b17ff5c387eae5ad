package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Registry is where images are pushed to and pulled from.
type Registry struct {
	Host string `json:"host" doc:"What image names begin with" example:"registry.example.com"`
	URL  string `json:"url" example:"https://registry.example.com"`
}

type registryOutput struct{ Body Registry }

// registryInput keeps the request, by which a server without a public URL knows its own.
type registryInput struct {
	Credentials
	request *http.Request
}

// Resolve implements huma.Resolver.
func (in *registryInput) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return in.Credentials.Resolve(ctx)
}

func (s *service) registerRegistry(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "registry", Method: http.MethodGet, Path: "/api/v1/registry", Tags: []string{"server"},
		Summary: "Tell the registry's host, as clients reach it",
	}, func(_ context.Context, _ caller, in *registryInput) (*registryOutput, error) {
		scheme, host := s.Origin(in.request)
		return &registryOutput{Body: Registry{Host: host, URL: scheme + "://" + host}}, nil
	})
}

package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Registry is where images are pushed to and pulled from.
type Registry struct {
	Host string `json:"host" doc:"What image names begin with" example:"registry.example.com"`
	URL  string `json:"url" example:"https://registry.example.com"`
}

type registryOutput struct{ Body Registry }

func (s *service) registerRegistry(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "registry", Method: http.MethodGet, Path: "/api/v1/registry", Tags: []string{"server"},
		Summary: "Tell the registry's host, as clients reach it",
	}, func(_ context.Context, _ caller, in *Credentials) (*registryOutput, error) {
		scheme, host := s.Origin(in.request)
		return &registryOutput{Body: Registry{Host: host, URL: scheme + "://" + host}}, nil
	})
}

package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// User is who the registry takes the caller for.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

type whoamiOutput struct{ Body User }

func (s *service) registerWhoami(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "whoami", Method: http.MethodGet, Path: "/api/v1/whoami", Tags: []string{"login"},
		Summary: "Tell who the caller is",
	}, func(_ context.Context, who caller, _ *Credentials) (*whoamiOutput, error) {
		return &whoamiOutput{Body: User{Name: who.User, Groups: who.Groups}}, nil
	})
}

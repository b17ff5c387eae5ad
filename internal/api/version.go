package api

import (
	"context"
	"net/http"
	"runtime"

	"github.com/danielgtaylor/huma/v2"
)

// Version is the program that answers.
type Version struct {
	Version   string `json:"version" example:"0.1.0"`
	Commit    string `json:"commit"`
	GoVersion string `json:"goVersion" example:"go1.26.0"`
}

type versionOutput struct{ Body Version }

// registerVersion asks for no login, so that a client can tell what it talks to.
func (s *service) registerVersion(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "version", Method: http.MethodGet, Path: "/api/v1/version", Tags: []string{"server"},
		Summary: "Tell the server's version",
	}, func(context.Context, *struct{}) (*versionOutput, error) {
		return &versionOutput{Body: Version{Version: s.Version, Commit: s.Commit, GoVersion: runtime.Version()}}, nil
	})
}

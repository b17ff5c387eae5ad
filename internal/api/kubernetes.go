package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/mirror"
)

// Rewriting is how images of pods are rewritten.
type Rewriting struct {
	Rules  mirror.Rules
	OptOut mirror.OptOut
	// Webhook is true where the admission webhook listens. CA is what its certificate
	// comes from, in PEM form; empty where that is none of this server's own.
	Webhook bool
	CA      func() ([]byte, error)
}

// Kubernetes is what clusters, nodes and build tools are told, so that images are pulled
// through this registry.
type Kubernetes struct {
	Host    string            `json:"host" doc:"What images are called by" example:"registry.example.com"`
	Caches  map[string]string `json:"caches" doc:"The cache projects by the registries that they mirror"`
	OptOut  OptOut            `json:"optOut" doc:"Which pods keep the images that they were given"`
	Webhook bool              `json:"webhook" doc:"Whether the admission webhook listens"`
	CA      string            `json:"ca,omitempty" doc:"What the webhook's certificate comes from, in PEM form"`
}

// OptOut says which pods keep the images that they were given.
type OptOut struct {
	Annotations []string `json:"annotations" doc:"Keys beside larder.dev/pull-through-cache, with the value disabled"`
	Namespaces  []string `json:"namespaces" doc:"Names, and patterns such as kube-*"`
	Owners      []string `json:"owners" doc:"Kinds of objects, as Cluster.postgresql.cnpg.io"`
}

type kubernetesOutput struct{ Body Kubernetes }

func (s *service) registerKubernetes(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-kubernetes", Method: http.MethodGet, Path: "/api/v1/kubernetes", Tags: []string{"server"},
		Summary: "Tell how clusters pull images through this registry",
	}, func(_ context.Context, _ caller, in *Credentials) (*kubernetesOutput, error) {
		rewriting := s.Rewriting
		if rewriting.Rules.Host == "" {
			_, rewriting.Rules.Host = s.Origin(in.request)
		}
		out := &kubernetesOutput{Body: kubernetesOf(rewriting)}
		if rewriting.Webhook {
			ca, err := rewriting.CA()
			if err != nil {
				return nil, err
			}
			out.Body.CA = string(ca)
		}
		return out, nil
	})
}

func kubernetesOf(r Rewriting) Kubernetes {
	none := func(list []string) []string { return append([]string{}, list...) }
	return Kubernetes{
		Host: r.Rules.Host, Caches: r.Rules.Caches, Webhook: r.Webhook,
		OptOut: OptOut{Annotations: none(r.OptOut.Annotations), Namespaces: none(r.OptOut.Namespaces), Owners: none(r.OptOut.Owners)},
	}
}

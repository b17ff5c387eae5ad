package kube

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// maxAnswer bounds what the API server may answer, in bytes.
const maxAnswer = 1 << 20

// restConfig finds out where the API server is and as whom to ask.
func (c Config) restConfig() (*rest.Config, error) {
	config, err := c.credentials()
	if err != nil {
		return nil, err
	}
	config.UserAgent = c.UserAgent
	// The number of reviews at once is bounded, not how many there are in a second.
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next} })
	return config, nil
}

func (c Config) credentials() (*rest.Config, error) {
	if c.Kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("this is no pod of a cluster, so nothing says which cluster to ask: set kubernetes.kubeconfig to a kubeconfig file")
		}
		if err != nil {
			return nil, fmt.Errorf("reading the service account of this pod: %w; mount its token (automountServiceAccountToken), or set kubernetes.kubeconfig", err)
		}
		return config, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", c.Kubeconfig, err)
	}
	return config, nil
}

// bounded cuts answers off that are too long to be reviews.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

package kube

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
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
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next, maxAnswer} })
	return config, nil
}

func (c Config) credentials() (*rest.Config, error) {
	if c.Kubeconfig == "" {
		return c.ofPod()
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", c.Kubeconfig, err)
	}
	return config, nil
}

// podFolder is where a pod finds its service account.
const podFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// ofPod is what Kubernetes tells each pod, as rest.InClusterConfig reads it: where the API
// server is by two variables, and who signed its certificate and the pod's token by files.
// The token is read again once a minute and after it was refused, since the cluster
// replaces it all the time.
func (c Config) ofPod() (*rest.Config, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("this is no pod of a cluster, so nothing says which cluster to ask: set kubernetes.kubeconfig to a kubeconfig file")
	}
	folder := cmp.Or(c.PodFolder, podFolder)
	token, authority := filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt")
	for _, path := range []string{token, authority} {
		if _, err := os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading the service account of this pod: %w; mount its token (automountServiceAccountToken), or set kubernetes.kubeconfig", err)
		}
	}
	config := &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		TLSClientConfig: rest.TLSClientConfig{CAFile: authority},
	}
	// By its BearerTokenFile alone a token that was refused would be shown for a minute yet.
	config.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(token)))
	return config, nil
}

// bounded cuts answers off that are too long.
type bounded struct {
	next http.RoundTripper
	most int64 // bytes
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, b.most), response.Body}
	return response, nil
}

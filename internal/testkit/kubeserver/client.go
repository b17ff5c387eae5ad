package kubeserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

const (
	// tryAgain is how often the API server is asked whether it is ready.
	tryAgain = 50 * time.Millisecond
	// askLimit bounds one such question.
	askLimit = 10 * time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 16 << 20
)

// Kubeconfig writes a kubeconfig for whoever has a token, and returns its path.
func (s *Server) Kubeconfig(user, token string) (string, error) {
	path := filepath.Join(s.folder, user+".kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: %[3]q, user: {token: %[4]q}}]
contexts: [{name: test, context: {cluster: test, user: %[3]q}}]
current-context: test
`, s.URL, s.Authority(), user, token)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// ready waits until the API server is.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	ticker := time.NewTicker(tryAgain)
	defer ticker.Stop()
	for {
		err := s.isReady(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.api.ended:
			return fmt.Errorf("kube-apiserver ended: %w", s.api.err)
		case <-s.etcd.ended:
			return fmt.Errorf("etcd ended: %w", s.etcd.err)
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// isReady asks once, and not for long: another process may listen there, which does not
// answer.
func (s *Server) isReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	_, err := s.get(ctx, "/readyz")
	return err
}

// get asks for a path as the administrator.
func (s *Server) get(ctx context.Context, path string) ([]byte, error) {
	authority, err := os.ReadFile(s.Authority())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+s.admin)
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered with %s: %.500s", path, response.Status, body)
	}
	return body, err
}

// Reviews are how many the API server has made since it was started.
type Reviews struct {
	Tokens, Accesses int
}

// Since is how many were made after before was counted.
func (r Reviews) Since(before Reviews) Reviews {
	return Reviews{r.Tokens - before.Tokens, r.Accesses - before.Accesses}
}

// Reviews counts the reviews, by the API server's own metrics.
func (s *Server) Reviews(ctx context.Context) (Reviews, error) {
	metrics, err := s.get(ctx, "/metrics")
	if err != nil {
		return Reviews{}, err
	}
	return Reviews{Tokens: requests(metrics, "tokenreviews"), Accesses: requests(metrics, "subjectaccessreviews")}, nil
}

func requests(metrics []byte, resource string) int {
	n := 0
	line := regexp.MustCompile(`(?m)^apiserver_request_total\{.*resource="` + resource + `".*\} (\S+)$`)
	for _, found := range line.FindAllSubmatch(metrics, -1) {
		count, err := strconv.ParseFloat(string(found[1]), 64)
		if err == nil {
			n += int(count)
		}
	}
	return n
}

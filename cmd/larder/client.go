package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// clientTimeout bounds one request, answer included.
	clientTimeout = 30 * time.Second
	// maxAnswer bounds what one answer may hold, in bytes.
	maxAnswer = 16 << 20
)

// client talks to the API of one server.
type client struct {
	server string
	http   *http.Client
	// authorize adds the credentials to a request.
	authorize func(*http.Request)
}

// answerError is what the server said when it refused a request.
type answerError struct {
	status int
	detail string
}

func (e *answerError) Error() string { return e.detail }

// newClient returns a client that shows the login's access token.
func newClient(login loginContext) (*client, error) {
	roots, err := readAuthorities(login.CA)
	if err != nil {
		return nil, err
	}
	transport := tlsTransport(roots, login.Insecure)
	transport.DisableKeepAlives = true
	return &client{
		server: login.Server,
		http: &http.Client{
			Transport: transport, Timeout: clientTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+login.Token) },
	}, nil
}

// tlsTransport trusts these authorities, or the system's when roots is nil.
func tlsTransport(roots *x509.CertPool, insecure bool) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			InsecureSkipVerify: insecure, //nolint:gosec // --insecure-skip-tls-verify asks for it
		},
	}
}

// readAuthorities returns nil, which means the system's, when no file is given.
func readAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority: %w; give another with --certificate-authority FILE", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the certificate authority %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// currentClient is a client of the login in use.
func currentClient() (*client, loginContext, error) {
	all, err := readContexts()
	if err != nil {
		return nil, loginContext{}, err
	}
	login, err := all.current()
	if err != nil {
		return nil, loginContext{}, err
	}
	if login.Token == "" {
		return nil, loginContext{}, fmt.Errorf("you are logged out of %s: log in with larder login %s -u %s, or without -u where you log in in a browser", login.Server, login.Server, login.User)
	}
	c, err := newClient(login)
	return c, login, err
}

// call sends body as JSON, unless it is nil, and reads the answer into answer,
// unless that is nil. What the server refuses is an *answerError.
func (c *client) call(ctx context.Context, method, path string, body, answer any) error {
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = response.Body.Close() }()
	return c.answer(response, answer)
}

// request makes a request with the credentials, and with body as JSON unless it is nil.
func (c *client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		text = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.server+path, text)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("User-Agent", "larder/"+version)
	c.authorize(r)
	return r, nil
}

// answer reads a whole answer.
func (c *client) answer(response *http.Response, answer any) error {
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.server, err)
	}
	return c.read(response, content, answer)
}

func (c *client) read(response *http.Response, content []byte, answer any) error {
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case mediaType == "application/problem+json":
		var p huma.ErrorModel
		if err := json.Unmarshal(content, &p); err != nil || p.Detail == "" {
			return c.stranger(response, content)
		}
		return &answerError{status: response.StatusCode, detail: problemText(p)}
	case response.StatusCode == http.StatusNoContent && answer == nil:
		return nil
	case response.StatusCode/100 != 2 || mediaType != "application/json":
		return c.stranger(response, content)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.server, err)
	}
	return nil
}

func problemText(p huma.ErrorModel) string {
	text := p.Detail
	for _, e := range p.Errors {
		text += "\n  " + e.Location + ": " + e.Message
	}
	return text
}

// stranger is an answer that is none of the API's.
func (c *client) stranger(response *http.Response, content []byte) error {
	if response.StatusCode == http.StatusTooManyRequests { // plain text, for requests of any kind
		after, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			return fmt.Errorf("%s gets too many requests from this address: try again later", c.server)
		}
		return fmt.Errorf("%s gets too many requests from this address: try again in %s", c.server, time.Duration(after)*time.Second)
	}
	// What net/http answers to plain HTTP where TLS is spoken.
	if response.StatusCode == http.StatusBadRequest && bytes.Contains(content, []byte("HTTP request to an HTTPS server")) {
		return fmt.Errorf("%s speaks TLS: write https:// instead of http://", c.server)
	}
	return fmt.Errorf("%s answers, but not as a Larder server does (status %s): check the URL, and whether a proxy stands before the server", c.server, response.Status)
}

// unreachable says what to check when a request was never answered.
func (c *client) unreachable(err error) error {
	// Without the method and the URL that *url.Error repeats.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("the request to %s was given up: %w", c.server, err)
	case unknown:
		return fmt.Errorf("the certificate of %s is signed by an authority that this machine does not know: give its certificate with larder login %s --certificate-authority FILE (or, only to try, --insecure-skip-tls-verify): %w", c.server, c.server, err)
	case otherName || invalid:
		return fmt.Errorf("the certificate of %s cannot be trusted: check the host name and this machine's clock, and renew the certificate: %w", c.server, err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s speaks plain HTTP: write http:// instead of https:// if that is meant", c.server)
	}
	return fmt.Errorf("cannot reach %s: %w; check the address and the port, and that the server runs (curl %s/healthz)", c.server, err, c.server)
}

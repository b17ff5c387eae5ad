package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// maxResponseHeaders bounds an answer's headers in bytes; links to signed storage
// are long.
const maxResponseHeaders = 256 << 10

// Timeouts bounds every wait. Zero fields get the defaults.
type Timeouts struct {
	// Dial bounds connecting, and again the TLS handshake (10 s).
	Dial time.Duration
	// Headers bounds the wait for an answer's headers (30 s).
	Headers time.Duration
	// Stall bounds the wait for each further byte of a body (30 s).
	Stall time.Duration
	// Request bounds a call other than Blob as a whole, and one request for a token
	// (60 s).
	Request time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	orDefault := func(d *time.Duration, fallback time.Duration) {
		if *d <= 0 {
			*d = fallback
		}
	}
	orDefault(&t.Dial, 10*time.Second)
	orDefault(&t.Headers, 30*time.Second)
	orDefault(&t.Stall, 30*time.Second)
	orDefault(&t.Request, 60*time.Second)
	return t
}

// answer bounds the whole wait until an answer's headers, a proxy's part included.
func (t Timeouts) answer() time.Duration { return 2*t.Dial + t.Headers }

// newTransport connects directly or through the proxy of HTTPS_PROXY, HTTP_PROXY and
// NO_PROXY as they are now. It asks for no compression: digests and sizes are of the
// bytes as the registry holds them.
func newTransport(c Config) (*http.Transport, error) {
	roots, err := loadRoots(c.CAFile)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		Proxy:                  proxyFromEnvironment(),
		DialContext:            (&net.Dialer{Timeout: c.Timeouts.Dial, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.Timeouts.Dial,
		ResponseHeaderTimeout:  c.Timeouts.Headers,
		MaxResponseHeaderBytes: maxResponseHeaders,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: c.Timeouts.Headers, PingTimeout: c.Timeouts.Dial},
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
	}
	if c.PublicOnly {
		refusePrivate(t, c.Timeouts.Dial)
	}
	return t, nil
}

// loadRoots adds the certificates of file to the system's. Nil stands for the
// system's alone.
func loadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the upstream's certificate authorities: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading the upstream's certificate authorities: %s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// proxyFromEnvironment reads the environment now, not once in a process as
// http.ProxyFromEnvironment does: a reload of the configuration finds what changed.
func proxyFromEnvironment() func(*http.Request) (*url.URL, error) {
	proxy := httpproxy.FromEnvironment().ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }
}

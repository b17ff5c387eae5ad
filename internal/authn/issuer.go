package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// issuerTimeout bounds one request to an issuer, answer included.
	issuerTimeout = 10 * time.Second
	// maxIssuerAnswer bounds what an issuer may answer, in bytes.
	maxIssuerAnswer = 1 << 20
	// issuerPause is how long the same is not read from an issuer again: strangers can
	// send tokens with any key's name.
	issuerPause = time.Minute
	// maxIssuerError is how much of an error is told that may repeat what an issuer
	// answered, in bytes.
	maxIssuerError = 300
	// maxForeignToken is the longest token of an issuer that is looked at, in bytes.
	maxForeignToken = 16 << 10
)

var errIssuerPause = errors.New("the issuer was asked for this within the last minute, and is not asked again yet")

// issuer verifies the tokens of one OpenID Connect issuer (OpenID Connect Discovery 1.0).
// What it has read of the issuer it keeps, so that tokens are verified while the issuer is
// down.
type issuer struct {
	url    string
	client *http.Client
	now    func() time.Time

	mu       sync.Mutex
	provider *oidc.Provider
}

// newIssuer trusts the authorities given beside the system's; nil means the system's.
func newIssuer(url string, authorities *x509.CertPool, now func() time.Time) *issuer {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities},
		TLSHandshakeTimeout: issuerTimeout,
		DisableKeepAlives:   true,
	}
	return &issuer{url: url, now: now, client: &http.Client{
		Transport:     &patient{base: transport, now: now, asked: map[string]time.Time{}},
		Timeout:       issuerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// discover reads what the issuer says of itself, once it has answered. Its keys come as
// safely as that did: whoever could change them on the way could sign tokens.
func (i *issuer) discover() (*oidc.Provider, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.provider == nil {
		// Not the request's context: its end would be every later one's, too.
		provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), i.client), i.url)
		if err != nil {
			return nil, fmt.Errorf("asking the issuer %s what it is: %w", i.url, &brief{err})
		}
		var keys struct {
			URL string `json:"jwks_uri"`
		}
		if err := provider.Claims(&keys); err != nil || !i.safe(keys.URL) {
			return nil, fmt.Errorf("the keys of the issuer %s are at %.200q, which is no URL of https", i.url, keys.URL)
		}
		i.provider = provider
	}
	return i.provider, nil
}

// safe tells whether secrets may go to an address of the issuer's, and keys come from it: by
// https or, where the issuer is written with http because it is on this machine, on this
// machine.
func (i *issuer) safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	own, err := url.Parse(i.url)
	return u.Scheme == "https" || err == nil && u.Scheme == "http" && own.Scheme == "http" && loopback(u)
}

// loopback tells whether only this machine can reach a URL's host.
func loopback(u *url.URL) bool {
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.IsLoopback() || u.Hostname() == "localhost"
}

// verify checks the signature, the issuer, the audience and the times of a token. The
// error wraps ErrTokenInvalid or ErrTokenExpired.
func (i *issuer) verify(ctx context.Context, token, audience string) (*oidc.IDToken, error) {
	provider, err := i.discover()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenInvalid, err)
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: audience, Now: i.now}).Verify(ctx, token)
	if _, expired := errors.AsType[*oidc.TokenExpiredError](err); expired {
		return nil, fmt.Errorf("%w: %w", ErrTokenExpired, &brief{err})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenInvalid, &brief{err})
	}
	return verified, nil
}

// brief is an error that may repeat a whole answer of an issuer, and does not.
type brief struct{ error }

func (b *brief) Error() string { return fmt.Sprintf("%.*s", maxIssuerError, b.error.Error()) }

func (b *brief) Unwrap() error { return b.error }

// patient is a transport that reads the same at most once a minute, and no answer that is
// too large.
type patient struct {
	base http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex
	asked map[string]time.Time // by the URLs of one issuer's own documents
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && !p.due(r.URL.String()) {
		return nil, errIssuerPause
	}
	response, err := p.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxIssuerAnswer)
	return response, nil
}

func (p *patient) due(url string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if at, ok := p.asked[url]; ok && fresh(at, now, issuerPause) {
		return false
	}
	p.asked[url] = now
	return true
}

// issuerOf tells who says to have made a token, without a look at the signature.
func issuerOf(token string) (string, bool) {
	if len(token) > maxForeignToken {
		return "", false
	}
	claims, ok := unverified(token)
	return claims.Issuer, ok && claims.Issuer != ""
}

package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/larder-registry/larder/internal/imagecopy"
)

// registries connects to registries with the credentials and authorities that this
// user has. done ends idle connections.
func (o copyOptions) registries() (_ *imagecopy.Registries, done func(), err error) {
	login := keptLogin()
	others, err := o.transport(loginContext{})
	if err != nil {
		return nil, nil, err
	}
	server, err := o.transport(login)
	if err != nil {
		return nil, nil, err
	}
	client := imagecopy.Client{
		Keychain:  authn.NewMultiKeychain(loginKeychain{login}, authn.DefaultKeychain),
		Transport: copyTransport{login: login.host(), server: server, others: others, insecureHTTP: o.InsecureHTTP},
		UserAgent: "larder/" + version,
		Jobs:      o.jobs,
	}
	registries, err := client.New()
	return registries, func() { server.CloseIdleConnections(); others.CloseIdleConnections() }, err
}

// keptLogin is the login in use, or an empty one.
func keptLogin() loginContext {
	all, err := readContexts()
	if err != nil {
		return loginContext{}
	}
	login, _ := all.current()
	return login
}

func (c loginContext) host() string {
	u, err := url.Parse(c.Server)
	if err != nil {
		return ""
	}
	return u.Host
}

// transport trusts the system's authorities, that of the login and that of the flag.
func (o copyOptions) transport(login loginContext) (*http.Transport, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, file := range []string{login.CA, o.ca} {
		if file == "" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate authority: %w", err)
		}
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("the certificate authority %s holds no certificate in PEM form", file)
		}
	}
	t := tlsTransport(roots, login.Insecure)
	t.IdleConnTimeout = time.Minute
	t.ResponseHeaderTimeout = 5 * time.Minute
	t.MaxIdleConnsPerHost = o.jobs
	return t, nil
}

// loginKeychain knows the login in use.
type loginKeychain struct{ login loginContext }

// Resolve implements authn.Keychain.
func (k loginKeychain) Resolve(resource authn.Resource) (authn.Authenticator, error) {
	if k.login.Token == "" || resource.RegistryStr() != k.login.host() {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: k.login.User, Password: k.login.Token}), nil
}

// copyTransport trusts a login's server as the login says, and refuses plain HTTP to
// other machines.
type copyTransport struct {
	login          string // host
	server, others http.RoundTripper
	insecureHTTP   bool
}

// RoundTrip implements http.RoundTripper.
func (t copyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !loopback(r.URL) && !t.insecureHTTP {
		return nil, fmt.Errorf("%s: %w", r.URL.Host, imagecopy.ErrPlainHTTP)
	}
	if r.URL.Host == t.login {
		return t.server.RoundTrip(r)
	}
	return t.others.RoundTrip(r)
}

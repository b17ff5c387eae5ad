package authn

import (
	"fmt"
	"slices"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDCEndpoints is what a program has to know of the issuer that sends people there.
type OIDCEndpoints struct {
	Issuer, ClientID string
	Authorization    string
	Device           string // "": the issuer has no device flow
	Scopes           []string
}

// provider is what the issuer says of itself (OpenID Connect Discovery 1.0, §3).
type provider struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Device        string   `json:"device_authorization_endpoint"`
	Scopes        []string `json:"scopes_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
}

// Endpoints asks the issuer for what it has, once it has answered never again. The error
// is an *UnknownError.
func (o *OIDC) Endpoints() (OIDCEndpoints, error) {
	p, err := o.provider()
	if err != nil {
		return OIDCEndpoints{}, err
	}
	return OIDCEndpoints{
		Issuer: o.Issuer, ClientID: o.ClientID, Authorization: p.Authorization, Device: p.Device, Scopes: o.scopes(p),
	}, nil
}

// provider reads what the issuer says of itself. Where the issuer has TLS, so have all of
// its endpoints: they get codes and the client's secret.
func (o *OIDC) provider() (provider, error) {
	var p provider
	discovered, err := o.issuer.discover()
	if err == nil {
		err = discovered.Claims(&p)
	}
	if err != nil {
		return provider{}, &UnknownError{Reason: fmt.Sprintf("the issuer %s does not answer as OpenID Connect asks for", o.Issuer), Err: err}
	}
	for _, endpoint := range []string{p.Authorization, p.Token, p.Device} {
		if endpoint == "" && p.Authorization != "" && p.Token != "" {
			continue // no device flow
		}
		if !o.issuer.safe(endpoint) {
			return provider{}, &UnknownError{
				Reason: fmt.Sprintf("the issuer %s has endpoints that cannot be used", o.Issuer),
				Err:    fmt.Errorf("the issuer's endpoint %.200q is no URL of https", endpoint),
			}
		}
	}
	return p, nil
}

func (o *OIDC) scopes(p provider) []string {
	if o.Scopes != nil {
		if slices.Contains(o.Scopes, oidc.ScopeOpenID) {
			return o.Scopes
		}
		return append([]string{oidc.ScopeOpenID}, o.Scopes...)
	}
	scopes := []string{oidc.ScopeOpenID, "profile", "email"}
	if slices.Contains(p.Scopes, "groups") {
		scopes = append(scopes, "groups")
	}
	return scopes
}

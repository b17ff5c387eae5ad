package oidctest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"

	"github.com/oauth2-proxy/mockoidc"
)

// Visit is what somebody is sent to the issuer with.
type Visit struct {
	Verifier, Nonce, RedirectURI, Scope string
}

// SendBack logs a user in at the issuer as a browser does, and tells the code with which
// the issuer sends them back.
func (i *Issuer) SendBack(ctx context.Context, user mockoidc.User, v Visit) (code string, err error) {
	challenge := sha256.Sum256([]byte(v.Verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {i.ClientID}, "redirect_uri": {v.RedirectURI},
		"scope": {v.Scope}, "state": {"x"}, "nonce": {v.Nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	i.QueueUser(user)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.AuthorizationEndpoint()+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	back, err := response.Location()
	if err != nil {
		return "", fmt.Errorf("the issuer answered %s: %w", response.Status, err)
	}
	return back.Query().Get("code"), nil
}

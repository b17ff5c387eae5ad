package authn

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
)

var (
	// ErrRedirect is returned for a login that would send people elsewhere than to a
	// program on their own machine.
	ErrRedirect = errors.New("the redirect URI is not on the user's own machine: it has to be http://127.0.0.1:PORT/..., http://[::1]:PORT/... or http://localhost:PORT/")
	// ErrLogin is returned where a code or a token of the issuer is not good, or was not
	// meant for this login.
	ErrLogin = errors.New("the login at the issuer could not be verified")
)

// CodeLogin is what somebody brings whom the issuer has sent back (OpenID Connect Core 1.0,
// §3.1), and with what they were sent there.
type CodeLogin struct {
	Code string
	// Verifier is PKCE's (RFC 7636), and Nonce the one that the token has to repeat.
	Verifier, Nonce string
	RedirectURI     string
	// Description tells the access token from others of the same user.
	Description string
}

// LogInByCode exchanges a code at the issuer. The error wraps ErrRedirect or ErrLogin, or is
// a *LoginError, an *AttemptsError, or an *UnknownError when the issuer does not answer.
func (o *OIDC) LogInByCode(ctx context.Context, l CodeLogin, from netip.Addr) (Login, error) {
	if !loopbackURI(l.RedirectURI) {
		return Login{}, ErrRedirect
	}
	forgive, err := o.begin(from)
	if err != nil {
		return Login{}, err
	}
	login, err := o.exchange(ctx, l)
	if err == nil || !blames(err) {
		forgive()
	}
	return login, err
}

func (o *OIDC) exchange(ctx context.Context, l CodeLogin) (Login, error) {
	p, err := o.provider()
	if err != nil {
		return Login{}, err
	}
	var answer tokenAnswer
	err = o.post(ctx, p, p.Token, url.Values{
		"grant_type": {"authorization_code"}, "code": {l.Code},
		"redirect_uri": {l.RedirectURI}, "code_verifier": {l.Verifier},
	}, &answer)
	if told, ok := errors.AsType[*oauthError](err); ok {
		return Login{}, fmt.Errorf("%w: %w", ErrLogin, told)
	}
	if err != nil {
		return Login{}, err
	}
	t, err := o.verify(ctx, answer.IDToken)
	if err != nil {
		return Login{}, err
	}
	if subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(l.Nonce)) != 1 {
		return Login{}, fmt.Errorf("%w: the token has another nonce than the login", ErrLogin)
	}
	return o.admit(ctx, t, l.Description)
}

// verify checks a token of the issuer. The error wraps ErrLogin.
func (o *OIDC) verify(ctx context.Context, token string) (*oidc.IDToken, error) {
	t, err := o.issuer.verify(ctx, token, o.ClientID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLogin, err)
	}
	// OpenID Connect Core 1.0, §3.1.3.7.
	var c struct {
		Party string `json:"azp"`
	}
	if err := t.Claims(&c); err != nil || c.Party != "" && c.Party != o.ClientID {
		return nil, fmt.Errorf("%w: the token was made for another client", ErrLogin)
	}
	return t, nil
}

// blames tells whether an error is the fault of whoever logs in.
func blames(err error) bool {
	_, refused := errors.AsType[*LoginError](err)
	return refused || errors.Is(err, ErrLogin)
}

// loopbackURI tells whether an issuer that is told to send people to a URI sends them to
// their own machine (RFC 8252, §7.3).
func loopbackURI(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "http" && u.User == nil && u.Port() != "" && u.RawQuery == "" && u.Fragment == "" && loopback(u)
}

package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
)

// OIDC logs people in at an OpenID Connect issuer.
type OIDC interface {
	Endpoints() (authn.OIDCEndpoints, error)
	LogInByCode(ctx context.Context, l authn.CodeLogin, from netip.Addr) (authn.Login, error)
	StartDevice(ctx context.Context, from netip.Addr) (authn.DeviceLogin, error)
	LogInByDevice(ctx context.Context, deviceCode, description string, from netip.Addr) (authn.DeviceAnswer, error)
}

// OIDCWay says how a program sends people to the issuer.
type OIDCWay struct {
	Issuer                      string   `json:"issuer,omitempty"`
	ClientID                    string   `json:"clientID,omitempty" doc:"The registry's at the issuer"`
	AuthorizationEndpoint       string   `json:"authorizationEndpoint,omitempty" doc:"Where a browser is sent to, with response_type=code, PKCE (S256), a nonce, and a redirect_uri of loopback"`
	DeviceAuthorizationEndpoint string   `json:"deviceAuthorizationEndpoint,omitempty" doc:"Absent where the issuer has no device flow. It is asked through POST /api/v1/login/oidc/device"`
	Scopes                      []string `json:"scopes,omitempty"`
	Problem                     string   `json:"problem,omitempty" doc:"Why nobody can log in at the issuer now"`
}

// CodeExchange is what a program has after the issuer has sent its user back.
type CodeExchange struct {
	Code         string `json:"code" minLength:"1" maxLength:"4096"`
	CodeVerifier string `json:"codeVerifier" pattern:"^[A-Za-z0-9._~-]{43,128}$" patternDescription:"a code verifier of RFC 7636" doc:"PKCE's"`
	Nonce        string `json:"nonce" minLength:"16" maxLength:"200" doc:"The one that was sent to the issuer"`
	RedirectURI  string `json:"redirectURI" maxLength:"400" doc:"The one that was sent to the issuer: http, on 127.0.0.1, [::1] or localhost, with a port" example:"http://127.0.0.1:40123/callback"`
	Description  string `json:"description,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"Of the access token"`
}

// DeviceLogin is a login that was begun on a device without a browser.
type DeviceLogin struct {
	DeviceCode              string `json:"deviceCode" doc:"With which the program asks whether the login was confirmed"`
	UserCode                string `json:"userCode" doc:"What the person types at verificationURI"`
	VerificationURI         string `json:"verificationURI"`
	VerificationURIComplete string `json:"verificationURIComplete,omitempty" doc:"With the user code in it"`
	ExpiresInSeconds        int64  `json:"expiresInSeconds"`
	IntervalSeconds         int64  `json:"intervalSeconds" doc:"The least time between two questions"`
}

// DeviceExchange asks whether a login was confirmed.
type DeviceExchange struct {
	DeviceCode  string `json:"deviceCode" minLength:"1" maxLength:"4096"`
	Description string `json:"description,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"Of the access token"`
}

// DeviceAnswer is what became of a login on a device.
type DeviceAnswer struct {
	Token    *Token `json:"token,omitempty" doc:"Absent while the login is not confirmed"`
	SlowDown bool   `json:"slowDown,omitempty" doc:"Ask 5 seconds less often from now on"`
}

type oidcInput struct {
	Credentials
	Body CodeExchange
}

type startDeviceOutput struct{ Body DeviceLogin }

type deviceInput struct {
	Credentials
	Body DeviceExchange
}

type deviceOutput struct {
	Status int
	Body   DeviceAnswer
}

func (s *service) registerOIDC(api huma.API) {
	const path = "/api/v1/login/oidc"
	failures := func() []int {
		return []int{http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	}
	registerLogin(s, api, huma.Operation{
		OperationID: "login-oidc", Path: path, DefaultStatus: http.StatusCreated,
		Summary: "Log somebody in whom the issuer has sent back: the code is exchanged for an access token",
		Errors:  append(failures(), http.StatusBadRequest),
	}, s.loginOIDC)
	registerLogin(s, api, huma.Operation{
		OperationID: "start-login-device", Path: path + "/device", DefaultStatus: http.StatusCreated,
		Summary: "Begin a login on a device without a browser (RFC 8628)", Errors: failures(),
	}, s.startDevice)
	registerLogin(s, api, huma.Operation{
		OperationID: "login-device", Path: path + "/device/token", DefaultStatus: http.StatusCreated,
		Summary: "Ask whether a login on a device was confirmed, which gives an access token; 202 when it was not yet", Errors: failures(),
	}, s.loginDevice)
}

// oidcWay tells of the issuer also while it does not answer, so that nobody looks for the
// fault elsewhere.
func (s *service) oidcWay(ctx context.Context) *OIDCWay {
	if s.OIDC == nil {
		return nil
	}
	e, err := s.OIDC.Endpoints()
	if unknown, ok := errors.AsType[*authn.UnknownError](err); ok {
		s.Log.WarnContext(ctx, "nobody can log in at the issuer", "error", err)
		return &OIDCWay{Problem: unknown.Reason}
	}
	if err != nil {
		return &OIDCWay{Problem: s.fault(ctx, "get-login", err).Detail}
	}
	return &OIDCWay{
		Issuer: e.Issuer, ClientID: e.ClientID, Scopes: e.Scopes,
		AuthorizationEndpoint: e.Authorization, DeviceAuthorizationEndpoint: e.Device,
	}
}

func (s *service) loginOIDC(ctx context.Context, in *oidcInput) (string, *createTokenOutput, error) {
	if s.OIDC == nil {
		return "", nil, noOIDC()
	}
	login, err := s.OIDC.LogInByCode(ctx, authn.CodeLogin{
		Code: in.Body.Code, Verifier: in.Body.CodeVerifier, Nonce: in.Body.Nonce,
		RedirectURI: in.Body.RedirectURI, Description: in.Body.Description,
	}, s.Address(in.request))
	if err != nil {
		return "", nil, s.oidcProblem(ctx, err)
	}
	out := &createTokenOutput{Body: loggedIn(login)}
	return out.Body.User, out, nil
}

func (s *service) startDevice(ctx context.Context, in *Credentials) (string, *startDeviceOutput, error) {
	if s.OIDC == nil {
		return "", nil, noOIDC()
	}
	d, err := s.OIDC.StartDevice(ctx, s.Address(in.request))
	if err != nil {
		return "", nil, s.oidcProblem(ctx, err)
	}
	return "", &startDeviceOutput{Body: DeviceLogin{
		DeviceCode: d.DeviceCode, UserCode: d.UserCode,
		VerificationURI: d.VerificationURI, VerificationURIComplete: d.VerificationURIComplete,
		ExpiresInSeconds: int64(d.Life / time.Second), IntervalSeconds: max(1, int64(d.Interval/time.Second)),
	}}, nil
}

func (s *service) loginDevice(ctx context.Context, in *deviceInput) (string, *deviceOutput, error) {
	if s.OIDC == nil {
		return "", nil, noOIDC()
	}
	a, err := s.OIDC.LogInByDevice(ctx, in.Body.DeviceCode, in.Body.Description, s.Address(in.request))
	if err != nil {
		return "", nil, s.oidcProblem(ctx, err)
	}
	if a.Pending {
		return "", &deviceOutput{Status: http.StatusAccepted, Body: DeviceAnswer{SlowDown: a.SlowDown}}, nil
	}
	token := loggedIn(a.Login)
	return token.User, &deviceOutput{Status: http.StatusCreated, Body: DeviceAnswer{Token: &token}}, nil
}

// loggedIn is a login with its secret, told this once.
func loggedIn(l authn.Login) Token {
	token := tokenOf(l.Token)
	token.Token = l.Secret
	return token
}

func noOIDC() error {
	return problem(http.StatusNotFound, "this registry has no issuer at which people log in: use a user name and a password, or an access token")
}

// oidcProblem turns the errors of a login at the issuer into answers.
func (s *service) oidcProblem(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*authn.LoginError](err); ok {
		return problem(http.StatusForbidden, "the login was refused: "+refused.Reason)
	}
	switch {
	case errors.Is(err, authn.ErrRedirect):
		return problem(http.StatusBadRequest, "the login was refused: "+authn.ErrRedirect.Error())
	case errors.Is(err, authn.ErrNoDevice):
		return problem(http.StatusNotFound, authn.ErrNoDevice.Error()+": log in with a browser, larder login --web")
	case errors.Is(err, authn.ErrLogin):
		s.Log.WarnContext(ctx, "a login at the issuer was refused", "error", err)
		return unauthorized(authn.ErrLogin.Error() + ": it is over, was used already, or was meant for another; begin again with larder login. The registry's log tells more")
	}
	return err
}

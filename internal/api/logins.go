package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/events"
)

// ciLife is how long a token is good that a pipeline gets for its own.
const ciLife = time.Hour

// LoginWays are the ways in which people can log in.
type LoginWays struct {
	Password bool     `json:"password" doc:"By a user name and a password that are known here, see POST /api/v1/tokens"`
	OIDC     *OIDCWay `json:"oidc,omitempty" doc:"At an OpenID Connect issuer; absent where there is none"`
}

type loginWaysOutput struct{ Body LoginWays }

// registerLogins adds what somebody asks who is not logged in yet.
func (s *service) registerLogins(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "get-login", Method: http.MethodGet, Path: "/api/v1/login", Tags: []string{"login"},
		Summary: "Tell in which ways people can log in",
	}, func(ctx context.Context, _ *struct{}) (*loginWaysOutput, error) {
		return &loginWaysOutput{Body: LoginWays{Password: true, OIDC: s.oidcWay(ctx)}}, nil
	})
	registerLogin(s, api, huma.Operation{
		OperationID: "login-ci", Path: "/api/v1/login/ci", DefaultStatus: http.StatusCreated,
		Summary: "Log a pipeline in: its own OpenID Connect token, sent as Bearer, is exchanged for an access token",
	}, s.loginCI)
	s.registerOIDC(api)
}

// registerLogin adds an operation by which somebody logs in, whom handle tells; "" for
// nobody yet. How it went is in the audit log, for nobody only when it failed.
func registerLogin[I, O any, P input[I]](s *service, api huma.API, op huma.Operation, handle func(context.Context, P) (user string, out *O, err error)) {
	op.Method, op.Tags, op.MaxBodyBytes = http.MethodPost, []string{"login"}, maxBody
	op.Errors = append(op.Errors, http.StatusUnauthorized)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		shown := P(in).credentials()
		user, out, err := handle(ctx, P(in))
		shown.record.User = user
		if err != nil {
			out, err = nil, s.answer(ctx, op.OperationID, err)
		}
		if user != "" || err != nil {
			s.write(ctx, events.Event{Actor: user, Action: op.OperationID, Address: s.Address(shown.request).String()}, err)
		}
		return out, err
	})
}

// loginCI makes a token that outlives the pipeline's, which is often good for minutes
// only, so that a long push can end.
func (s *service) loginCI(ctx context.Context, in *Credentials) (string, *createTokenOutput, error) {
	scheme, token, _ := strings.Cut(in.Authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil, unauthorized("no pipeline's token was sent: send it as Authorization: Bearer TOKEN")
	}
	id, _, err := s.Authenticator.CIToken(ctx, strings.TrimSpace(token))
	if errors.Is(err, authn.ErrTokenInvalid) || errors.Is(err, authn.ErrTokenExpired) {
		s.Log.WarnContext(ctx, "a pipeline's token was refused", "error", err)
		return "", nil, unauthorized("the pipeline's token was refused: it has expired, or no rule of ciTokens in the registry's configuration trusts its issuer, its audience and its claims; the registry's log tells which")
	}
	if err != nil {
		return "", nil, err
	}
	secret, t, err := s.Authenticator.CreateToken(ctx, authn.NewToken{User: id.User, Description: "made for a pipeline", Life: ciLife})
	if err != nil {
		return "", nil, err
	}
	out := &createTokenOutput{Body: tokenOf(t)}
	out.Body.Token = secret
	return id.User, out, nil
}

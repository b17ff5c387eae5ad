package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
)

// ciLife is how long a token is good that a pipeline gets for its own.
const ciLife = time.Hour

// registerLogins adds what somebody asks who is not logged in yet.
func (s *service) registerLogins(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "login-ci", Method: http.MethodPost, Path: "/api/v1/login/ci", Tags: []string{"login"},
		Summary: "Log a pipeline in: its own OpenID Connect token, sent as Bearer, is exchanged for an access token",
		Errors:  []int{http.StatusUnauthorized}, DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
	}, s.loginCI)
}

// loginCI makes a token that outlives the pipeline's, which is often good for minutes
// only, so that a long push can end.
func (s *service) loginCI(ctx context.Context, in *Credentials) (*createTokenOutput, error) {
	const operation = "login-ci"
	scheme, token, _ := strings.Cut(in.Authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, unauthorized("no pipeline's token was sent: send it as Authorization: Bearer TOKEN")
	}
	id, _, err := s.Authenticator.CIToken(ctx, strings.TrimSpace(token))
	if errors.Is(err, authn.ErrTokenInvalid) || errors.Is(err, authn.ErrTokenExpired) {
		s.Log.WarnContext(ctx, "a pipeline's token was refused", "error", err)
		return nil, unauthorized("the pipeline's token was refused: it has expired, or no rule of ciTokens in the registry's configuration trusts its issuer, its audience and its claims; the registry's log tells which")
	}
	if err != nil {
		return nil, s.answer(ctx, operation, err)
	}
	in.record.User = id.User
	secret, t, err := s.Authenticator.CreateToken(ctx, authn.NewToken{User: id.User, Description: "made for a pipeline", Life: ciLife})
	if err != nil {
		return nil, s.answer(ctx, operation, err)
	}
	out := &createTokenOutput{Body: tokenOf(t)}
	out.Body.Token = secret
	return out, nil
}

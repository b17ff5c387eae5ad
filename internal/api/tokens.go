package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// TokenRequest asks for an access token.
type TokenRequest struct {
	Description       string `json:"description,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"What it is for"`
	ExpirationSeconds int64  `json:"expirationSeconds,omitempty" minimum:"60" maximum:"31536000" default:"86400" doc:"How long it is good for, in seconds"`
}

// Token is a new access token. Its secret is told here and never again.
type Token struct {
	ID        string    `json:"id"`
	Token     string    `json:"token" doc:"The secret: a bearer token here, a password for docker login"`
	User      string    `json:"user"`
	ExpiresAt time.Time `json:"expiresAt"`
}

type createTokenInput struct {
	Credentials
	Body TokenRequest
}

type createTokenOutput struct{ Body Token }

func (s *service) registerTokens(api huma.API) {
	tags := []string{"login"}
	register(s, api, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/api/v1/tokens", Tags: tags,
		Summary: "Log in: make an access token of one's own, by password", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusForbidden},
	}, s.createToken)
	register(s, api, huma.Operation{
		OperationID: "revoke-current-token", Method: http.MethodDelete, Path: "/api/v1/tokens/current", Tags: tags,
		Summary: "Log out: revoke the access token that the request shows", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusBadRequest},
	}, s.revokeCurrentToken)
}

// createToken wants the password, so that whoever found an access token cannot
// make it last.
func (s *service) createToken(ctx context.Context, who caller, in *createTokenInput) (*createTokenOutput, error) {
	if who.credential.TokenID != "" {
		return nil, problem(http.StatusForbidden, "an access token cannot make another one: send the user name and the password (Basic)")
	}
	life := time.Duration(in.Body.ExpirationSeconds) * time.Second
	secret, t, err := s.Authenticator.CreateToken(ctx, authn.NewToken{User: who.User, Description: in.Body.Description, Life: life})
	if err != nil {
		return nil, err
	}
	return &createTokenOutput{Body: Token{ID: t.ID, Token: secret, User: t.User, ExpiresAt: t.ExpiresAt}}, nil
}

func (s *service) revokeCurrentToken(ctx context.Context, who caller, _ *Credentials) (*struct{}, error) {
	if who.credential.TokenID == "" {
		return nil, problem(http.StatusBadRequest, "there is no access token to revoke: the request shows a password; send the access token instead")
	}
	err := s.Authenticator.RevokeToken(ctx, who.credential.TokenID)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return nil, err
	}
	return nil, nil
}

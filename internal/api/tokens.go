package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// maxTokens is how many access tokens with a name one account may have. Those of logins
// have none, and all that expired go by themselves.
const maxTokens = 1000

// Tokens reads the access tokens, and changes what is said of them.
type Tokens interface {
	Get(ctx context.Context, id string) (metadata.Token, error)
	List(ctx context.Context, user string) ([]metadata.Token, error)
	Describe(ctx context.Context, id, name, description string) error
}

// TokenRequest asks for an access token.
type TokenRequest struct {
	Name              string   `json:"name,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9]?[A-Za-z0-9._-]*$" patternDescription:"letters, digits, and . _ -" doc:"By which its owner knows it; no two of a user have the same"`
	Description       string   `json:"description,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text" doc:"What it is for"`
	Scopes            []string `json:"scopes,omitempty" maxItems:"4" doc:"What it is limited to do: read, write, delete; admin or none is all that its user may do"`
	Targets           []string `json:"targets,omitempty" maxItems:"64" doc:"What it is limited to: projects as demo, repositories as demo/app, or several as demo/team-*"`
	ExpirationSeconds int64    `json:"expirationSeconds,omitempty" minimum:"60" maximum:"31536000" default:"86400" doc:"How long it is good for, in seconds"`
}

// Token is an access token. Its secret is told when it is made and never again.
type Token struct {
	ID          string     `json:"id"`
	Token       string     `json:"token,omitempty" doc:"The secret, told once: a bearer token here, a password for docker login"`
	User        string     `json:"user"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
	Scopes      []string   `json:"scopes,omitempty" doc:"Absent for a token that is not limited"`
	Targets     []string   `json:"targets,omitempty" doc:"Absent for a token that is good for all projects"`
	CreatedAt   time.Time  `json:"createdAt"`
	ExpiresAt   time.Time  `json:"expiresAt"`
	UsedAt      *time.Time `json:"usedAt,omitempty" doc:"The last use, a minute late at most; absent for none"`
}

// TokenDescription is what is said of a token.
type TokenDescription struct {
	Name        *string `json:"name,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9]?[A-Za-z0-9._-]*$" patternDescription:"letters, digits, and . _ -"`
	Description *string `json:"description,omitempty" maxLength:"200" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"one line of text"`
}

// TokenList is one page of access tokens, ordered by ID.
type TokenList struct {
	Items []Token `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type createTokenInput struct {
	Credentials
	Body TokenRequest
}

type createTokenOutput struct{ Body Token }

type listTokensInput struct {
	Credentials
	Page
	User string `query:"user" doc:"Whose tokens, for administrators; the caller's own by default"`
}

type listTokensOutput struct{ Body TokenList }

type tokenInput struct {
	Credentials
	ID string `path:"id"`
}

type describeTokenInput struct {
	Credentials
	ID   string `path:"id"`
	Body TokenDescription
}

func (s *service) registerTokens(api huma.API) {
	const path = "/api/v1/tokens"
	tags := []string{"login"}
	register(s, api, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: path, Tags: tags,
		Summary: "Log in: make an access token of one's own", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict},
	}, s.createToken)
	register(s, api, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List one's own access tokens", Errors: []int{http.StatusForbidden},
	}, s.listTokens)
	register(s, api, huma.Operation{
		OperationID: "get-token", Method: http.MethodGet, Path: path + "/{id}", Tags: tags,
		Summary: "Read an access token, but for its secret", Errors: []int{http.StatusNotFound},
	}, s.getToken)
	register(s, api, huma.Operation{
		OperationID: "describe-token", Method: http.MethodPatch, Path: path + "/{id}", Tags: tags,
		Summary: "Change the name and the description of an access token",
		Errors:  []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.describeToken)
	register(s, api, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: path + "/{id}", Tags: tags,
		Summary: "Revoke an access token", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.revokeToken)
	register(s, api, huma.Operation{
		OperationID: "revoke-current-token", Method: http.MethodDelete, Path: path + "/current", Tags: tags,
		Summary: "Log out: revoke the access token that the request shows", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusBadRequest},
	}, s.revokeCurrentToken)
}

// createToken refuses tokens that are limited, which could get rid of their limit.
func (s *service) createToken(ctx context.Context, who caller, in *createTokenInput) (*createTokenOutput, error) {
	if err := s.uncapped(who, "make another one"); err != nil {
		return nil, err
	}
	return s.makeToken(ctx, who.User, in.Body)
}

func (s *service) makeToken(ctx context.Context, user string, r TokenRequest) (*createTokenOutput, error) {
	n := authn.NewToken{User: user, Name: r.Name, Description: r.Description, Life: time.Duration(r.ExpirationSeconds) * time.Second}
	if len(r.Scopes)+len(r.Targets) > 0 {
		scopes := r.Scopes
		if len(scopes) == 0 {
			scopes = []string{string(authn.ScopeAdmin)}
		}
		var err error
		if n.Cap, err = authn.NewCap(scopes, r.Targets); err != nil {
			return nil, problem(http.StatusBadRequest, err.Error())
		}
	}
	if err := s.nameIsFree(ctx, user, r.Name); err != nil {
		return nil, err
	}
	secret, t, err := s.Authenticator.CreateToken(ctx, n)
	if err != nil {
		return nil, err
	}
	out := &createTokenOutput{Body: tokenOf(t)}
	out.Body.Token = secret
	return out, nil
}

// nameIsFree refuses a name that another token of the user has, and a token too many.
func (s *service) nameIsFree(ctx context.Context, user, name string) error {
	if name == "" {
		return nil
	}
	all, err := s.Tokens.List(ctx, user)
	if err != nil {
		return err
	}
	now := s.Now()
	all = slices.DeleteFunc(all, func(t metadata.Token) bool {
		return t.Name == "" || !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
	})
	switch {
	case len(all) >= maxTokens:
		return problem(http.StatusConflict, fmt.Sprintf("%s has %d access tokens, which is the most: delete some with larder delete accesstoken NAME", user, len(all)))
	case slices.ContainsFunc(all, func(t metadata.Token) bool { return t.Name == name }):
		return problem(http.StatusConflict, fmt.Sprintf("%s has an access token of the name %s already: choose another name, or delete it with larder delete accesstoken %s", user, name, name))
	}
	return nil
}

func (s *service) listTokens(ctx context.Context, who caller, in *listTokensInput) (*listTokensOutput, error) {
	user := in.User
	if user == "" {
		user = who.User
	}
	if user != who.User {
		if err := s.permit(ctx, who, authz.ListTokens, authz.Target{}); err != nil {
			return nil, err
		}
	}
	return s.tokensOf(ctx, user, in.Page)
}

func (s *service) tokensOf(ctx context.Context, user string, page Page) (*listTokensOutput, error) {
	all, err := s.Tokens.List(ctx, user)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t metadata.Token) bool { return t.ID <= page.After })
	out := &listTokensOutput{Body: TokenList{Items: []Token{}}}
	all, out.Body.Next = paged(all, page.Limit, func(t metadata.Token) string { return t.ID })
	for _, t := range all {
		out.Body.Items = append(out.Body.Items, tokenOf(t))
	}
	return out, nil
}

func (s *service) getToken(ctx context.Context, who caller, in *tokenInput) (*createTokenOutput, error) {
	t, err := s.token(ctx, who, authz.ListTokens, in.ID)
	if err != nil {
		return nil, err
	}
	return &createTokenOutput{Body: tokenOf(t)}, nil
}

// token finds a token of the caller's own, or of another's for whoever may do action.
func (s *service) token(ctx context.Context, who caller, action authz.Action, id string) (metadata.Token, error) {
	t, err := s.Tokens.Get(ctx, id)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return metadata.Token{}, err
	}
	if err == nil && t.User == who.User {
		return t, nil
	}
	may, undecided := s.Authorizer.Allowed(ctx, who.Identity, action, authz.Target{})
	if undecided != nil {
		return metadata.Token{}, undecided
	}
	if err != nil || !may {
		return metadata.Token{}, problem(http.StatusNotFound, fmt.Sprintf("access token %.64q does not exist: larder get accesstokens lists yours", id))
	}
	return t, nil
}

// describeToken does not take the right to delete: whoever may write may say what a
// token is for.
func (s *service) describeToken(ctx context.Context, who caller, in *describeTokenInput) (*createTokenOutput, error) {
	t, err := s.token(ctx, who, authz.UpdateUser, in.ID)
	if err != nil {
		return nil, err
	}
	if !who.Cap.Covers(authn.ScopeWrite, "", "") {
		return nil, problem(http.StatusForbidden, "this access token is limited and cannot describe others: use one of the scope write, or log in with larder login")
	}
	if name := in.Body.Name; name != nil && *name != t.Name {
		if err := s.nameIsFree(ctx, t.User, *name); err != nil {
			return nil, err
		}
		t.Name = *name
	}
	if in.Body.Description != nil {
		t.Description = *in.Body.Description
	}
	if err := s.Tokens.Describe(ctx, t.ID, t.Name, t.Description); err != nil {
		return nil, err
	}
	return &createTokenOutput{Body: tokenOf(t)}, nil
}

func (s *service) revokeToken(ctx context.Context, who caller, in *tokenInput) (*struct{}, error) {
	t, err := s.token(ctx, who, authz.DeleteToken, in.ID)
	if err != nil {
		return nil, err
	}
	if t.ID != who.credential.TokenID {
		if err := s.uncapped(who, "revoke others"); err != nil {
			return nil, err
		}
	}
	return nil, s.revokeTokenOf(ctx, t.User, t.ID)
}

func (s *service) revokeTokenOf(ctx context.Context, user, id string) error {
	t, err := s.Tokens.Get(ctx, id)
	if err == nil && t.User == user {
		err = s.Authenticator.RevokeToken(ctx, id)
	} else if err == nil {
		err = metadata.ErrNotFound
	}
	if errors.Is(err, metadata.ErrNotFound) {
		return problem(http.StatusNotFound, fmt.Sprintf("access token %.64q does not exist", id))
	}
	return err
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

func tokenOf(t metadata.Token) Token {
	token := Token{
		ID: t.ID, User: t.User, Name: t.Name, Description: t.Description, Scopes: t.Scopes, Targets: t.Targets,
		CreatedAt: t.CreatedAt.UTC(), ExpiresAt: t.ExpiresAt.UTC(),
	}
	if !t.UsedAt.IsZero() {
		used := t.UsedAt.UTC()
		token.UsedAt = &used
	}
	return token
}

package distribution

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// tokenLife is how long a registry token is good for.
	tokenLife = 5 * time.Minute
	// refreshLife is how long an access token is good for that a client keeps in place
	// of a password.
	refreshLife = 30 * 24 * time.Hour
	// maxForm bounds the form of a token request, in bytes.
	maxForm = 64 << 10
	// endpointCatalogName is the only resource of the type registry.
	endpointCatalogName = "catalog"
	// codeRequestInvalid is for token requests that cannot be read.
	codeRequestInvalid oci.Code = "REQUEST_INVALID"
)

// AccessTokens makes the access tokens that clients keep in place of a password.
type AccessTokens interface {
	CreateToken(ctx context.Context, n authn.NewToken) (secret string, token metadata.Token, err error)
}

// tokenRequest is what both forms of a token request have in common.
type tokenRequest struct {
	user, password string
	login          bool // credentials were shown
	scopes         []string
	service        string
	refresh        bool // a refresh token is asked for
}

// tokenAnswer is that of Docker's token specification and of OAuth2 (RFC 6749, §5.1).
type tokenAnswer struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"`
	TokenType    string    `json:"token_type"`
	ExpiresIn    int64     `json:"expires_in"` // seconds
	IssuedAt     time.Time `json:"issued_at"`
	Scope        string    `json:"scope"`
}

// token issues a registry token to whoever asks: it says who they are, and which of
// the scopes that they asked for they have now (Docker's token specification).
func (h *Handler) token(ctx context.Context, x *exchange) error {
	telemetry.RecordOf(x.w).Route = "token"
	request, err := readTokenRequest(x)
	if err != nil {
		return err
	}
	identity, credential := authn.Anonymous(), authn.Credential{}
	if request.login {
		if identity, credential, err = h.Authenticator.Basic(ctx, request.user, request.password, x.address); err != nil {
			return err
		}
		telemetry.RecordOf(x.w).User = identity.User
	}
	asked, err := authn.ParseScopes(request.scopes)
	if err != nil {
		return &oci.Error{Code: codeRequestInvalid, Message: err.Error()}
	}
	granted, err := h.grant(ctx, identity, asked)
	if err != nil {
		return err
	}
	signed, expires, err := h.issue(ctx, request, identity, credential, granted)
	if err != nil {
		return err
	}
	now := h.Now().UTC()
	answer := tokenAnswer{
		Token: signed, AccessToken: signed, TokenType: "Bearer", Scope: scopes(granted),
		ExpiresIn: max(1, int64(expires.Sub(now)/time.Second)), IssuedAt: now.Truncate(time.Second),
	}
	if request.refresh && request.login {
		if answer.RefreshToken, err = h.refreshToken(ctx, request, credential); err != nil {
			return err
		}
	}
	x.w.Header().Set("Cache-Control", "no-store")
	return writeJSON(x.w, http.StatusOK, answer)
}

// issue signs a registry token. A token that a cluster knows stands for itself, as in
// OpenShift's registry: without it nobody could have it reviewed again.
func (h *Handler) issue(ctx context.Context, request tokenRequest, id authn.Identity, c authn.Credential, granted []authn.Access) (token string, expires time.Time, err error) {
	if !c.Reviewed {
		return h.Authenticator.Issue(ctx, id, c, granted, tokenLife)
	}
	expires = h.Now().Add(tokenLife)
	if !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(expires) {
		expires = c.ExpiresAt
	}
	return request.password, expires, nil
}

// readTokenRequest reads GET with Basic or without, and POST with a form.
func readTokenRequest(x *exchange) (tokenRequest, error) {
	r := x.r
	switch r.Method {
	case http.MethodGet:
		query := r.URL.Query()
		request := tokenRequest{scopes: query["scope"], service: query.Get("service")}
		if r.Header.Get("Authorization") == "" {
			return request, nil
		}
		request.user, request.password, request.login = authn.BasicAuth(r)
		if !request.login {
			return tokenRequest{}, loginNeeded("the Authorization header cannot be read: send Basic credentials")
		}
		return request, nil
	case http.MethodPost:
		r.Body = http.MaxBytesReader(x.w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return tokenRequest{}, badForm(err)
		}
		return readTokenForm(r.PostForm)
	}
	x.w.Header().Set("Allow", "GET, POST")
	return tokenRequest{}, &oci.Error{Code: oci.CodeUnsupported, Message: "method " + r.Method + " is not supported here"}
}

func badForm(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return &oci.Error{Code: oci.CodeTooLarge, Message: fmt.Sprintf("the form has more than %d bytes, the limit", maxForm), Err: err}
	}
	return &oci.Error{Code: codeRequestInvalid, Message: "the form cannot be read: send application/x-www-form-urlencoded", Err: err}
}

// readTokenForm reads the OAuth2 form (Docker's token specification, §OAuth2).
func readTokenForm(form url.Values) (tokenRequest, error) {
	request := tokenRequest{
		login:   true,
		scopes:  form["scope"],
		service: form.Get("service"),
		refresh: form.Get("access_type") == "offline",
	}
	switch grant := form.Get("grant_type"); grant {
	case "password":
		request.user, request.password = form.Get("username"), form.Get("password")
	case "refresh_token": // an access token stands for itself, whatever the name
		request.password = form.Get("refresh_token")
	default:
		return tokenRequest{}, &oci.Error{Code: codeRequestInvalid, Message: fmt.Sprintf("grant_type %.40q is not supported: use password or refresh_token", grant)}
	}
	return request, nil
}

// refreshToken makes an access token for a client to keep. Whoever showed one already
// gets the same back, so that none outlives the one that it came from.
func (h *Handler) refreshToken(ctx context.Context, request tokenRequest, credential authn.Credential) (string, error) {
	if credential.Token() {
		return request.password, nil
	}
	secret, _, err := h.AccessTokens.CreateToken(ctx, authn.NewToken{
		User: credential.User, Description: "made at login for " + clip(request.service), Life: refreshLife,
	})
	return secret, err
}

// grant keeps of the scopes what the caller may do; the rest is left out, and what is too
// much to decide at once.
func (h *Handler) grant(ctx context.Context, identity authn.Identity, asked []authn.Access) ([]authn.Access, error) {
	granted, decide := []authn.Access{}, h.Authorizer.ForMany()
	for _, access := range asked {
		if access.Type == authn.TypeRegistry {
			granted = append(granted, access)
			continue
		}
		target, err := h.lookUp(ctx, access.Name, "")
		if err != nil {
			continue // a name that means nothing grants nothing
		}
		kept := authn.Access{Type: access.Type, Name: access.Name}
		for _, action := range expand(access.Actions) {
			may, err := may(ctx, decide, identity, action, target)
			if err != nil && !errors.Is(err, authz.ErrSpent) {
				return nil, err
			}
			if may {
				kept.Actions = append(kept.Actions, action)
			}
		}
		if target.Kind == "" {
			kept.Actions = withPull(kept.Actions, access.Actions)
		}
		if len(kept.Actions) > 0 {
			granted = append(granted, kept)
		}
	}
	return granted, nil
}

// withPull lets whoever may make a project by a push pull from it, too: the token that the
// push begins with is used for what it looks up once the project is there.
func withPull(may, asked []string) []string {
	pulls := slices.Contains(expand(asked), authn.ActionPull) && !slices.Contains(may, authn.ActionPull)
	if pulls && slices.Contains(may, authn.ActionPush) {
		return append([]string{authn.ActionPull}, may...)
	}
	return may
}

// expand spells out what * stands for.
func expand(actions []string) []string {
	for _, action := range actions {
		if action == authn.ActionAll {
			return []string{authn.ActionPull, authn.ActionPush, authn.ActionDelete}
		}
	}
	return actions
}

func scopes(granted []authn.Access) string {
	text := ""
	for i, access := range granted {
		if i > 0 {
			text += " "
		}
		text += access.String()
	}
	return text
}

// clip keeps what a client sent from filling a description. It cuts between characters.
func clip(s string) string {
	const most = 128
	end := min(len(s), most)
	for end < len(s) && end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxTokenAnswer = 1 << 20
	maxTokenBytes  = 64 << 10
	// defaultTokenLife holds when expires_in is absent (Docker token specification,
	// §Token response fields).
	defaultTokenLife = time.Minute
	maxTokenLife     = 24 * time.Hour
	// maxTokenMargin is the most that a token is renewed before it ends.
	maxTokenMargin = 15 * time.Second
)

// errRefused is returned to who waited for a turn with a credential that was refused
// meanwhile.
var errRefused = errors.New("the credential was refused")

// fetchToken asks a token service for a token (Docker token specification,
// §Requesting a token).
func (r *Registry) fetchToken(ctx context.Context, key tokenKey, q query) (token, error) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeouts.Request)
	defer cancel()
	var got token
	err := key.account.present(ctx, r.config.Timeouts.Request, func() (bool, error) {
		var err error
		got, err = r.requestToken(ctx, key, q)
		return err == nil, err
	})
	return got, r.presented(ctx, key.account, "asking for a token", err)
}

// presented makes what account.present returned the registry's own error.
func (r *Registry) presented(ctx context.Context, a *account, what string, err error) error {
	switch {
	case err == nil || KindOf(err) != 0:
		return err
	case errors.Is(err, errRefused):
		return r.credentialRefused(a)
	}
	return r.failure(ctx, what, err)
}

func (r *Registry) requestToken(ctx context.Context, key tokenKey, q query) (token, error) {
	u, err := tokenURL(key)
	if err != nil {
		return token{}, &Error{Kind: Invalid, Upstream: r.config.Name, Message: "reading the challenge", Err: err}
	}
	asked := r.config.Now()
	what := "asking " + u.Host + " for a token for " + excerpt(key.scope)
	outgoing := request{
		call:   Call{Kind: CallToken, Repository: q.repo, Credential: key.account.name, For: q.payer},
		method: http.MethodGet, url: u, what: what, header: http.Header{"Accept": {"application/json"}}, stay: true,
	}
	if !key.account.anonymous() {
		outgoing.authorization = key.account.basic()
	}
	got, err := r.exchange(ctx, outgoing)
	if err != nil {
		return token{}, err
	}
	defer func() { _ = got.Body.Close() }()
	if got.StatusCode != http.StatusOK {
		return token{}, r.tokenRefusal(key.account, what, got)
	}
	content, err := r.readAll(got, maxTokenAnswer, what)
	if err != nil {
		return token{}, err
	}
	parsed, err := parseToken(content, asked)
	if err != nil {
		return token{}, &Error{Kind: Invalid, Status: got.StatusCode, Upstream: r.config.Name, Message: what, Err: err}
	}
	return parsed, nil
}

// tokenRefusal tells a bad credential (401) from one without the right (403).
func (r *Registry) tokenRefusal(a *account, what string, got *answer) error {
	if got.StatusCode == http.StatusUnauthorized && !a.anonymous() {
		r.refuse(a, "its token service")
		return r.credentialRefused(a)
	}
	return r.refusal(a, false, what, got)
}

func (r *Registry) credentialRefused(a *account) error {
	return &Error{
		Kind: CredentialRefused, Status: http.StatusUnauthorized, Upstream: r.config.Name, Credential: a.name,
		Message: fmt.Sprintf("the upstream refuses the credential of %s: correct it, in the configuration, which is then reloaded, or with larder upstream credential add", a.name),
	}
}

func tokenURL(key tokenKey) (*url.URL, error) {
	u, err := url.Parse(key.realm)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	if key.service != "" {
		query.Set("service", key.service)
	}
	for _, scope := range strings.Fields(key.scope) {
		query.Add("scope", scope)
	}
	u.RawQuery, u.Fragment = query.Encode(), ""
	return u, nil
}

// parseToken reads a token service's answer. The token's life is counted from when
// it was asked for, since the two clocks need not agree.
func parseToken(content []byte, asked time.Time) (token, error) {
	var said struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal(content, &said); err != nil {
		return token{}, errors.New("the answer is not the JSON of a token service")
	}
	value := said.Token
	if value == "" {
		value = said.AccessToken
	}
	if value == "" || len(value) > maxTokenBytes || strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return token{}, errors.New("the answer holds no usable token")
	}
	life := defaultTokenLife
	if said.ExpiresIn > 0 {
		life = time.Duration(min(said.ExpiresIn, maxTokenLife.Seconds()) * float64(time.Second))
	}
	return token{value: value, expires: asked.Add(life - min(life/10, maxTokenMargin))}, nil
}

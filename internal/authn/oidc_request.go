package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The errors of OAuth 2.0 (RFC 6749, §5.2, and RFC 8628, §3.5) that mean something special.
const (
	oauthInvalidClient      = "invalid_client"
	oauthUnauthorizedClient = "unauthorized_client"
	oauthPending            = "authorization_pending"
	oauthSlowDown           = "slow_down"
	oauthDenied             = "access_denied"
	oauthExpired            = "expired_token"
)

// oauthError is an error that the issuer told.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string {
	return fmt.Sprintf("the issuer answered %.50q %.200q", e.Code, e.Description)
}

// tokenAnswer is what is read of a token endpoint's answer (OpenID Connect Core 1.0,
// §3.1.3.3).
type tokenAnswer struct {
	IDToken string `json:"id_token"`
}

// post sends a form to an endpoint of the issuer, as the client that the registry is there,
// and reads the answer. The error is an *oauthError when the issuer tells one, and otherwise
// an *UnknownError: nothing is said of who logs in. No error repeats what was sent.
func (o *OIDC) post(ctx context.Context, p provider, endpoint string, form url.Values, answer any) error {
	select {
	case o.turns <- struct{}{}:
		defer func() { <-o.turns }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for others who log in: %w", context.Cause(ctx))
	}
	r, err := o.request(ctx, p, endpoint, form)
	if err != nil {
		return err
	}
	response, err := o.issuer.client.Do(r)
	if err != nil {
		return o.silent(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body) // the transport bounds it
	if err != nil {
		return o.silent(err)
	}
	if response.StatusCode/100 == 2 {
		if err := json.Unmarshal(text, answer); err != nil {
			return o.silent(fmt.Errorf("reading the answer: %w", err))
		}
		return nil
	}
	told := &oauthError{}
	if err := json.Unmarshal(text, told); err != nil || told.Code == "" {
		return o.silent(fmt.Errorf("it answered %.100s", response.Status))
	}
	told.Description = o.redacted(told.Description, form)
	if told.Code == oauthInvalidClient || told.Code == oauthUnauthorizedClient {
		return &UnknownError{
			Reason: fmt.Sprintf("the issuer %s refuses the registry itself, whose administrator has to look at oidc.clientID and its secret", o.Issuer),
			Err:    errors.New(told.Error()), // it is no error of the login
		}
	}
	return told
}

// request names the client (RFC 6749, §2.3.1): in the form where the issuer knows that, as
// the most do, and otherwise as Basic.
func (o *OIDC) request(ctx context.Context, p provider, endpoint string, form url.Values) (*http.Request, error) {
	basic := o.ClientSecret != "" && !slices.Contains(p.AuthMethods, "client_secret_post")
	if !basic {
		form.Set("client_id", o.ClientID)
		if o.ClientSecret != "" {
			form.Set("client_secret", o.ClientSecret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("making a request to the issuer: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if basic {
		r.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret))
	}
	return r, nil
}

// redacted is what an issuer tells of a request without what was sent, which some repeat.
func (o *OIDC) redacted(text string, form url.Values) string {
	for _, secret := range []string{o.ClientSecret, form.Get("code"), form.Get("code_verifier"), form.Get("device_code")} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "...")
		}
	}
	return text
}

// silent is the error where an issuer did not answer, or not as it should.
func (o *OIDC) silent(err error) error {
	return &UnknownError{Reason: fmt.Sprintf("the issuer %s does not answer as it should", o.Issuer), Err: &brief{err}}
}

package authn

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

// pipelines is a house that trusts the jobs of one repository.
func pipelines(t *testing.T) (*house, *mockoidc.MockOIDC) {
	t.Helper()
	provider, err := mockoidc.Run()
	must(t, err)
	t.Cleanup(func() { _ = provider.Shutdown() })
	h := newHouse(t)
	h.trustCI([]CIRule{
		{Issuer: provider.Issuer(), Audience: "other", Claims: map[string]string{"repository": "*/*"}, User: UserAdmin},
		{Issuer: provider.Issuer(), Audience: "larder", Claims: map[string]string{"repository": "acme/*", "ref": "refs/heads/main"}, User: "system:serviceaccount:demo:ci"},
	})
	_, err = h.CreateServiceAccount(t.Context(), "demo", "ci")
	must(t, err)
	return h, provider
}

// job are the claims of a job that is trusted, as they are at a time, with changes.
func job(h *house, issuer string, changes jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": issuer, "aud": "larder", "sub": "repo:acme/app:ref:refs/heads/main",
		"repository": "acme/app", "ref": "refs/heads/main",
		"iat": h.clock.Now().Unix(), "exp": h.clock.Now().Add(5 * time.Minute).Unix(),
	}
	for name, value := range changes {
		claims[name] = value
	}
	return claims
}

func TestAPipelinesTokenIsAPasswordAndARegistryTokenMadeOfItEndsWithIt(t *testing.T) {
	h, provider := pipelines(t)
	token, err := provider.Keypair.SignJWT(job(h, provider.Issuer(), nil))
	must(t, err)
	id, c, err := h.Basic(t.Context(), "unused", token, netip.Addr{})
	must(t, err)
	if id.User != "system:serviceaccount:demo:ci" || id.Groups[2] != "system:serviceaccounts:demo" {
		t.Errorf("identity = %+v", id)
	}
	registryToken, expires, err := h.Issue(t.Context(), id, c, nil, time.Hour)
	must(t, err)
	if want := h.clock.Now().Add(5 * time.Minute); !expires.Equal(want) {
		t.Errorf("the registry token is good until %s, want %s", expires, want)
	}
	if got := h.identity(t, registryToken); got.User != id.User {
		t.Errorf("identity = %+v", got)
	}
	must(t, h.Delete(t.Context(), id.User))
	_, _, err = h.Verify(t.Context(), registryToken)
	wantError(t, err, ErrTokenInvalid)
	_, _, err = h.CIToken(t.Context(), token)
	wantError(t, err, ErrTokenInvalid)
}

func TestAPipelinesTokenThatNoRuleTrustsIsRefused(t *testing.T) {
	h, provider := pipelines(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	stranger, err := mockoidc.NewKeypair(key)
	must(t, err)
	stranger.Kid, err = provider.Keypair.KeyID()
	must(t, err)
	now := h.clock.Now()
	tests := []struct {
		name    string
		changes jwt.MapClaims
		keys    *mockoidc.Keypair
		want    error
	}{
		{"another repository", jwt.MapClaims{"repository": "evil/app"}, provider.Keypair, ErrTokenInvalid},
		{"a repository that begins alike", jwt.MapClaims{"repository": "acme/app/more"}, provider.Keypair, ErrTokenInvalid},
		{"another branch", jwt.MapClaims{"ref": "refs/heads/feature"}, provider.Keypair, ErrTokenInvalid},
		{"a claim that is not text", jwt.MapClaims{"ref": map[string]any{"a": "refs/heads/main"}}, provider.Keypair, ErrTokenInvalid},
		{"no such claim", jwt.MapClaims{"ref": nil}, provider.Keypair, ErrTokenInvalid},
		{"another audience", jwt.MapClaims{"aud": "elsewhere"}, provider.Keypair, ErrTokenInvalid},
		{"expired", jwt.MapClaims{"exp": now.Add(-time.Second).Unix()}, provider.Keypair, ErrTokenExpired},
		{"not good yet", jwt.MapClaims{"nbf": now.Add(time.Hour).Unix()}, provider.Keypair, ErrTokenInvalid},
		{"without an end", jwt.MapClaims{"exp": nil}, provider.Keypair, ErrTokenInvalid},
		{"another key", nil, stranger, ErrTokenInvalid},
		{"another issuer", jwt.MapClaims{"iss": "https://id.example.com"}, provider.Keypair, ErrTokenInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := tt.keys.SignJWT(job(h, provider.Issuer(), tt.changes))
			must(t, err)
			_, _, err = h.CIToken(t.Context(), token)
			wantError(t, err, tt.want)
			_, _, err = h.Basic(t.Context(), "unused", token, netip.Addr{})
			wantError(t, err, ErrInvalidCredentials)
		})
	}
}

func TestANumberInAClaimIsComparedDigitByDigit(t *testing.T) {
	h, provider := pipelines(t)
	h.trustCI([]CIRule{{
		Issuer: provider.Issuer(), Audience: "larder", User: "system:serviceaccount:demo:ci",
		Claims: map[string]string{"project_id": "9007199254740993", "protected": "true"},
	}})
	tests := []struct {
		id   any
		want error
	}{
		{json.Number("9007199254740993"), nil},
		{"9007199254740993", nil},
		{json.Number("9007199254740992"), ErrTokenInvalid}, // the same float64
		{json.Number("12345678"), ErrTokenInvalid},
	}
	for _, tt := range tests {
		token, err := provider.Keypair.SignJWT(job(h, provider.Issuer(), jwt.MapClaims{"ref": nil, "project_id": tt.id, "protected": true}))
		must(t, err)
		if _, _, err := h.CIToken(t.Context(), token); !errors.Is(err, tt.want) {
			t.Errorf("with the project %v: %v, want %v", tt.id, err, tt.want)
		}
	}
}

func TestTheKeysOfAPipelinesIssuerAreNotReadInTheClear(t *testing.T) {
	issuer, err := oidctest.Start()
	must(t, err)
	t.Cleanup(issuer.Close)
	issuer.SpoilFields(mockoidc.DiscoveryEndpoint, map[string]any{"jwks_uri": "http://evil.example.com/keys"})
	h := newHouse(t)
	h.trustCI([]CIRule{{Issuer: issuer.Issuer(), Audience: "larder", Claims: map[string]string{"ref": "*"}, User: UserAdmin}})
	token, err := issuer.Keypair.SignJWT(job(h, issuer.Issuer(), nil))
	must(t, err)
	_, _, err = h.CIToken(t.Context(), token)
	wantError(t, err, ErrTokenInvalid)
	wantText(t, err.Error(), `the keys of the issuer `+issuer.Issuer()+` are at "http://evil.example.com/keys"`)
}

func TestAPipelinesTokenWithoutASignatureOrByASharedSecretIsRefused(t *testing.T) {
	h, provider := pipelines(t)
	claims := job(h, provider.Issuer(), nil)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	must(t, err)
	public, err := provider.Keypair.JWKS()
	must(t, err)
	shared, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(public)
	must(t, err)
	for _, token := range []string{none, shared} {
		_, _, err := h.CIToken(t.Context(), token)
		wantError(t, err, ErrTokenInvalid)
	}
}

func TestTokensAreVerifiedWhileTheIssuerIsDown(t *testing.T) {
	h, provider := pipelines(t)
	token, err := provider.Keypair.SignJWT(job(h, provider.Issuer(), nil))
	must(t, err)
	_, _, err = h.CIToken(t.Context(), token)
	must(t, err)
	must(t, provider.Shutdown())
	_, _, err = h.CIToken(t.Context(), token)
	must(t, err)
}

func TestAnIssuerIsAskedForItsKeysOnceAMinuteAtMost(t *testing.T) {
	h, provider := pipelines(t)
	token, err := provider.Keypair.SignJWT(job(h, provider.Issuer(), nil))
	must(t, err)
	_, _, err = h.CIToken(t.Context(), token)
	must(t, err)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	next, err := mockoidc.NewKeypair(key)
	must(t, err)
	provider.Keypair = next // the issuer has changed its key
	if token, err = next.SignJWT(job(h, provider.Issuer(), nil)); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.CIToken(t.Context(), token)
	if err == nil || !strings.Contains(err.Error(), errIssuerPause.Error()) {
		t.Errorf("error = %v, want %v", err, errIssuerPause)
	}
	h.clock.Pass(issuerPause)
	// go-oidc hands the last answer to whoever asks before its goroutine has ended.
	for range 1000 {
		if _, _, err = h.CIToken(t.Context(), token); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	must(t, err)
}

package authn

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

var pullApp = []Access{{Type: "repository", Name: "demo/app", Actions: []string{"pull"}}}

// issue makes a registry token from the admin's password.
func issue(t *testing.T, a *Authenticator, access []Access, life time.Duration) string {
	t.Helper()
	id, cred := login(t, a)
	token, _, err := a.Issue(t.Context(), id, cred, access, life)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func refused(t *testing.T, a *Authenticator, token string, want error) {
	t.Helper()
	id, access, err := a.Verify(t.Context(), token)
	wantError(t, err, want)
	if id.User != "" || access != nil {
		t.Errorf("refused, but Verify = %+v, %v", id, access)
	}
}

func TestARegistryTokenSaysWhoAndWhat(t *testing.T) {
	a, _, _ := newTest(t)
	token := issue(t, a, pullApp, 5*time.Minute)
	for range 2 { // the second time it is remembered
		id, access, err := a.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(adminIdentity(), id); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(pullApp, access); diff != "" {
			t.Errorf("access (-want +got):\n%s", diff)
		}
	}
}

func TestARegistryTokenHasDockersClaims(t *testing.T) {
	a, store, c := newTest(t)
	token := issue(t, a, pullApp, 5*time.Minute)
	parts := strings.Split(token, ".")
	var header, got map[string]any
	for i, v := range []*map[string]any{&header, &got} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]any{"alg": "HS256", "typ": "JWT", "kid": store.keys[0].ID}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if id, _ := got["jti"].(string); len(id) < 20 {
		t.Errorf("jti = %q", id)
	}
	delete(got, "jti")
	now := float64(c.Now().Unix())
	want := map[string]any{
		"iss": "larder", "aud": []any{"larder"}, "sub": "admin", "iat": now, "nbf": now, "exp": now + 300,
		"access":     []any{map[string]any{"type": "repository", "name": "demo/app", "actions": []any{"pull"}}},
		"credential": map[string]any{"generation": 1.0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestAStrangerGetsARegistryTokenToo(t *testing.T) {
	a, _, _ := newTest(t)
	token, _, err := a.Issue(t.Context(), Anonymous(), Credential{}, pullApp, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	id, access, err := a.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Anonymous(), id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if !Covers(access, "repository", "demo/app", "pull") || Covers(access, "repository", "demo/app", "push") {
		t.Errorf("access = %v", access)
	}
}

func TestARegistryTokenForNothingCoversNothing(t *testing.T) {
	a, _, _ := newTest(t)
	_, access, err := a.Verify(t.Context(), issue(t, a, nil, time.Minute))
	if err != nil || access == nil || len(access) != 0 {
		t.Errorf("Verify = %v, %v; want an empty list", access, err)
	}
}

func TestARegistryTokenExpires(t *testing.T) {
	a, _, c := newTest(t)
	seen, unseen := issue(t, a, nil, time.Minute), issue(t, a, nil, time.Minute)
	c.Pass(time.Minute - time.Second)
	if _, _, err := a.Verify(t.Context(), seen); err != nil {
		t.Errorf("just before: %v", err)
	}
	c.Pass(time.Second)
	refused(t, a, seen, ErrTokenExpired)
	refused(t, a, unseen, ErrTokenExpired)
}

func TestARegistryTokenDoesNotOutliveItsAccessToken(t *testing.T) {
	a, _, c := newTest(t)
	secret, _ := createToken(t, a, 2*time.Minute)
	id, cred, err := a.AccessToken(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	_, expires, err := a.Issue(t.Context(), id, cred, nil, 5*time.Minute)
	if err != nil || !expires.Equal(c.Now().Add(2*time.Minute)) {
		t.Errorf("expires = %s, %v; want with the access token", expires, err)
	}
}

func TestARegistryTokenDiesWithItsCredential(t *testing.T) {
	tests := []struct {
		name string
		kill func(t *testing.T, a *Authenticator, tokenID string)
	}{
		{"the password is changed", func(t *testing.T, a *Authenticator, _ string) {
			if _, err := a.SetPassword(t.Context(), UserAdmin, "new one"); err != nil {
				t.Fatal(err)
			}
		}},
		{"the access token is revoked", func(t *testing.T, a *Authenticator, id string) {
			if err := a.RevokeToken(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, store, c := newTest(t)
			other := newServer(t, store, c)
			secret, access := createToken(t, a, time.Hour)
			id, cred, err := a.AccessToken(t.Context(), secret)
			if err != nil {
				t.Fatal(err)
			}
			fromToken, _, err := a.Issue(t.Context(), id, cred, nil, 5*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			tokens := []string{issue(t, a, nil, 5*time.Minute), fromToken}
			for _, server := range []*Authenticator{a, other} {
				for _, token := range tokens {
					if _, _, err := server.Verify(t.Context(), token); err != nil {
						t.Fatal(err)
					}
				}
			}

			tt.kill(t, a, access.ID)

			refused(t, a, tokens[i], ErrTokenInvalid)
			if _, _, err := a.Verify(t.Context(), tokens[1-i]); err != nil {
				t.Errorf("the token of the other credential: %v", err)
			}
			c.Pass(recentLife)
			refused(t, other, tokens[i], ErrTokenInvalid)
		})
	}
}

func TestARegistryTokenDiesWithItsUser(t *testing.T) {
	for _, name := range []string{"disabled", "gone"} {
		t.Run(name, func(t *testing.T) {
			a, store, c := newTest(t)
			token := issue(t, a, nil, time.Minute)
			u := store.people[UserAdmin]
			delete(store.people, UserAdmin)
			if u.Disabled = true; name == "disabled" {
				store.people[UserAdmin] = u
			}
			c.Pass(recentLife)
			refused(t, a, token, ErrTokenInvalid)
		})
	}
}

func TestACredentialIsNotLentToAnotherUser(t *testing.T) {
	a, _, _ := newTest(t)
	_, cred := login(t, a)
	if _, _, err := a.Issue(t.Context(), Identity{User: "alice"}, cred, nil, time.Minute); err == nil {
		t.Error("alice got a token by the admin's credential")
	}
}

func TestAForgedRegistryTokenIsRefused(t *testing.T) {
	a, store, c := newTest(t)
	issue(t, a, nil, time.Minute) // makes the key
	key := store.keys[0]
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func() claims {
		cl := claims{Access: pullApp, Credential: &credentialClaim{Generation: 1}}
		cl.Issuer, cl.Subject, cl.Audience = "larder", UserAdmin, jwt.ClaimStrings{"larder"}
		cl.ExpiresAt = jwt.NewNumericDate(c.Now().Add(time.Minute))
		return cl
	}
	sign := func(method jwt.SigningMethod, kid any, secret any, change func(*claims)) string {
		cl := good()
		change(&cl)
		token := jwt.NewWithClaims(method, cl)
		token.Header["kid"] = kid
		s, err := token.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	same := func(*claims) {}
	if _, _, err := a.Verify(t.Context(), sign(jwt.SigningMethodHS256, key.ID, key.Secret, same)); err != nil {
		t.Fatalf("the token that the forgeries start from: %v", err)
	}
	genuine := sign(jwt.SigningMethodHS256, key.ID, key.Secret, same)
	flipped := strings.Split(genuine, ".")
	flipped[1] = strings.Replace(flipped[1], flipped[1][20:24], "AAAA", 1)

	tests := []struct{ name, token string }{
		{"no algorithm", sign(jwt.SigningMethodNone, key.ID, jwt.UnsafeAllowNoneSignatureType, same)},
		{"another algorithm with our key", sign(jwt.SigningMethodHS512, key.ID, key.Secret, same)},
		{"a public-key algorithm", sign(jwt.SigningMethodRS256, key.ID, rsaKey, same)},
		{"another key under our key's id", sign(jwt.SigningMethodHS256, key.ID, []byte("another key that is long enough!"), same)},
		{"an unknown key", sign(jwt.SigningMethodHS256, "unknown", []byte("another key that is long enough!"), same)},
		{"the empty key under an unknown id", sign(jwt.SigningMethodHS256, "unknown", []byte{}, same)},
		{"a key id that is no text", sign(jwt.SigningMethodHS256, 7, key.Secret, same)},
		{"another audience", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.Audience = jwt.ClaimStrings{"other"} })},
		{"no audience", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.Audience = nil })},
		{"another issuer", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.Issuer = "other" })},
		{"no end", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.ExpiresAt = nil })},
		{"not yet good", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.NotBefore = jwt.NewNumericDate(c.Now().Add(time.Hour)) })},
		{"a user without a credential", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.Credential = nil })},
		{"another user", sign(jwt.SigningMethodHS256, key.ID, key.Secret, func(cl *claims) { cl.Subject = "root" })},
		{"changed claims", strings.Join(flipped, ".")},
		{"no signature", genuine[:strings.LastIndexByte(genuine, '.')+1]},
		{"too long", genuine + strings.Repeat("A", maxRegistryToken)},
		{"nonsense", "a.b.c"},
		{"nothing", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refused(t, a, tt.token, ErrTokenInvalid) })
	}
}

func TestAnotherRegistrysTokenIsRefused(t *testing.T) {
	a, _, _ := newTest(t)
	other, _, _ := newTest(t)
	issue(t, a, nil, time.Minute)
	refused(t, a, issue(t, other, nil, time.Minute), ErrTokenInvalid)
}

func TestTheFirstSigningKeyIsMadeOnce(t *testing.T) {
	a, store, c := newTest(t)
	first := issue(t, a, nil, time.Minute)
	issue(t, a, nil, time.Minute)
	if len(store.keys) != 1 || len(store.keys[0].Secret) != signingKey {
		t.Fatalf("keys = %d", len(store.keys))
	}
	restarted := newServer(t, store, c)
	if _, _, err := restarted.Verify(t.Context(), first); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	issue(t, restarted, nil, time.Minute)
	if len(store.keys) != 1 {
		t.Errorf("a restart made another key")
	}
}

func TestTheNewestKeySignsAndOlderOnesStillVerify(t *testing.T) {
	a, store, c := newTest(t)
	old := issue(t, a, nil, 5*time.Minute)
	newer := metadata.SigningKey{ID: "newer", Secret: randomBytes(signingKey), CreatedAt: c.Now()}
	if err := (keyStore{store}).Add(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	restarted := newServer(t, store, c)
	if _, _, err := restarted.Verify(t.Context(), old); err != nil {
		t.Errorf("the old key's token: %v", err)
	}
	fresh := issue(t, restarted, nil, 5*time.Minute)
	header, err := base64.RawURLEncoding.DecodeString(strings.Split(fresh, ".")[0])
	if err != nil || !strings.Contains(string(header), `"kid":"newer"`) {
		t.Errorf("header = %s, %v", header, err)
	}
	c.Pass(ringReload)
	if _, _, err := a.Verify(t.Context(), fresh); err != nil {
		t.Errorf("a server that has not seen the newer key: %v", err)
	}
}

func TestUnknownKeyIDsReadTheKeysOnceASecond(t *testing.T) {
	a, store, c := newTest(t)
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{})
	token.Header["kid"] = "unknown"
	forged, err := token.SignedString([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		refused(t, a, forged, ErrTokenInvalid)
	}
	if store.reads != 1 {
		t.Errorf("the keys were read %d times", store.reads)
	}
	c.Pass(ringReload)
	refused(t, a, forged, ErrTokenInvalid)
	if store.reads != 2 {
		t.Errorf("a second later the keys had been read %d times", store.reads)
	}
}

package authn

import (
	"crypto/sha256"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

func createToken(t *testing.T, a *Authenticator, life time.Duration) (string, metadata.Token) {
	t.Helper()
	secret, token, err := a.CreateToken(t.Context(), NewToken{User: UserAdmin, Description: "a test", Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return secret, token
}

func TestAnAccessTokenCanBeToldByItsForm(t *testing.T) {
	a, _, _ := newTest(t)
	secret, _ := createToken(t, a, time.Hour)
	if !regexp.MustCompile(`^larder_[0-9A-Za-z]{36}$`).MatchString(secret) {
		t.Errorf("secret = %q", secret)
	}
	last := secret[len(secret)-1]
	typo := secret[:len(secret)-1] + string(base62[(strings.IndexByte(base62, last)+1)%62])
	if !isAccessToken(secret) || isAccessToken(typo) || isAccessToken(secret+"0") || isAccessToken(secret[7:]) {
		t.Error("the checksum or the form does not count")
	}
}

// The form is written down here, because secret scanners depend on it.
func TestTheChecksumIsCRC32InBase62(t *testing.T) {
	tests := []struct{ body, want string }{
		{"", "000000"},
		{"123456789", "3jZRME"},
	}
	for _, tt := range tests {
		if got := checksum(tt.body); got != tt.want {
			t.Errorf("checksum(%q) = %s, want %s", tt.body, got, tt.want)
		}
	}
}

func TestOnlyTheHashOfAnAccessTokenIsKept(t *testing.T) {
	a, store, c := newTest(t)
	secret, token := createToken(t, a, time.Hour)
	hash := sha256.Sum256([]byte(secret))
	want := []metadata.Token{{
		ID: token.ID, Hash: hash[:], User: UserAdmin, Description: "a test",
		CreatedAt: c.Now(), ExpiresAt: c.Now().Add(time.Hour),
	}}
	if diff := cmp.Diff(want, store.tokens); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if token.ID == "" || strings.Contains(secret, token.ID) {
		t.Errorf("the id %q tells something about the secret", token.ID)
	}
}

func TestAnAccessTokenIsAPasswordForAnyUserName(t *testing.T) {
	a, _, c := newTest(t)
	secret, token := createToken(t, a, time.Hour)
	for _, user := range []string{"unused", "admin", "", "<token>"} {
		id, cred, err := a.Basic(t.Context(), user, secret, netip.Addr{})
		if err != nil {
			t.Fatalf("user %q: %v", user, err)
		}
		if diff := cmp.Diff(adminIdentity(), id); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		want := Credential{User: UserAdmin, TokenID: token.ID, ExpiresAt: c.Now().Add(time.Hour)}
		if diff := cmp.Diff(want, cred); diff != "" {
			t.Errorf("credential (-want +got):\n%s", diff)
		}
	}
}

func TestAnAccessTokenIsABearerTokenToo(t *testing.T) {
	a, _, _ := newTest(t)
	secret, _ := createToken(t, a, time.Hour)
	id, access, err := a.Verify(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	if id.User != UserAdmin || !Covers(access, TypeRepository, "demo/app", ActionDelete) || !Covers(access, TypeRegistry, "catalog", ActionAll) {
		t.Errorf("Verify = %+v, %v; want admin, capped at nothing", id, access)
	}
}

func TestAnAccessTokenThatIsNotKnownIsRefused(t *testing.T) {
	a, _, _ := newTest(t)
	body := strings.Repeat("x", tokenRandom)
	stranger := tokenPrefix + body + checksum(body)
	_, _, err := a.Basic(t.Context(), UserAdmin, stranger, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	_, _, err = a.Verify(t.Context(), stranger)
	wantError(t, err, ErrTokenInvalid)
	_, _, err = a.AccessToken(t.Context(), testPassword)
	wantError(t, err, ErrTokenInvalid)
}

func TestAnAccessTokenExpires(t *testing.T) {
	a, _, c := newTest(t)
	secret, _ := createToken(t, a, time.Hour)
	c.Pass(time.Hour - time.Millisecond)
	if _, _, err := a.Verify(t.Context(), secret); err != nil {
		t.Errorf("just before: %v", err)
	}
	c.Pass(time.Millisecond)
	_, _, err := a.Verify(t.Context(), secret)
	wantError(t, err, ErrTokenExpired)
	_, _, err = a.Basic(t.Context(), "unused", secret, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
}

func TestARevokedAccessTokenIsRefusedAtOnce(t *testing.T) {
	a, _, _ := newTest(t)
	secret, token := createToken(t, a, time.Hour)
	if _, _, err := a.Verify(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if err := a.RevokeToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err := a.Verify(t.Context(), secret)
	wantError(t, err, ErrTokenInvalid)
	wantError(t, a.RevokeToken(t.Context(), token.ID), metadata.ErrNotFound)
}

func TestAnAccessTokenOutlivesItsUsersPassword(t *testing.T) {
	a, _, _ := newTest(t)
	secret, _ := createToken(t, a, time.Hour)
	if _, err := a.SetPassword(t.Context(), UserAdmin, "new one"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Verify(t.Context(), secret); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestAnAccessTokenNeedsAUserAndALife(t *testing.T) {
	a, store, _ := newTest(t)
	_, _, err := a.CreateToken(t.Context(), NewToken{User: "bob", Life: time.Hour})
	wantError(t, err, metadata.ErrNotFound)
	if _, _, err := a.CreateToken(t.Context(), NewToken{User: UserAdmin}); err == nil {
		t.Error("a token without a life was made")
	}
	if len(store.tokens) != 0 {
		t.Errorf("kept %d tokens", len(store.tokens))
	}
}

func TestRandomStringsUseTheWholeAlphabet(t *testing.T) {
	seen := map[rune]int{}
	s := randomString(base62, 62*200)
	for _, c := range s {
		seen[c]++
	}
	if len(s) != 62*200 || len(seen) != 62 {
		t.Fatalf("%d characters, %d different ones", len(s), len(seen))
	}
	for c, n := range seen {
		// 200 are expected, and the deviation is 14: this is beyond seven of them.
		if n < 100 || n > 300 {
			t.Errorf("%q came %d times in %d", c, n, len(s))
		}
	}
}

package authn

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

func emptyServer(t *testing.T) (*Authenticator, *memory) {
	t.Helper()
	store := &memory{people: map[string]metadata.User{}}
	a, err := New(Config{Users: userStore{store}, Tokens: tokenStore{store}, Keys: keyStore{store}, Issuer: "larder"})
	if err != nil {
		t.Fatal(err)
	}
	return a, store
}

func TestTheFirstStartMakesAPasswordOnce(t *testing.T) {
	a, store := emptyServer(t)
	made, err := a.EnsureAdmin(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[a-z2-9]{24}$`).MatchString(made) || strings.ContainsAny(made, "ilo01") {
		t.Errorf("made %q, want 24 characters that cannot be mistaken for others", made)
	}
	if strings.Contains(store.people[UserAdmin].PasswordHash, made) {
		t.Error("the password is kept in the clear")
	}
	if _, _, err := a.Basic(t.Context(), UserAdmin, made, netip.Addr{}); err != nil {
		t.Errorf("the password made is refused: %v", err)
	}
	again, err := a.EnsureAdmin(t.Context(), "")
	if err != nil || again != "" {
		t.Errorf("second start = %q, %v; want nothing made", again, err)
	}
}

func TestTheFirstStartTakesTheGivenPassword(t *testing.T) {
	a, _ := emptyServer(t)
	made, err := a.EnsureAdmin(t.Context(), testPassword)
	if err != nil || made != "" {
		t.Fatalf("EnsureAdmin = %q, %v", made, err)
	}
	login(t, a)
}

func TestALaterStartDoesNotChangeThePassword(t *testing.T) {
	a, _, _ := newTest(t)
	if _, err := a.EnsureAdmin(t.Context(), "another one"); err != nil {
		t.Fatal(err)
	}
	login(t, a)
	_, _, err := a.Basic(t.Context(), UserAdmin, "another one", netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
}

func TestAdminIsAMaster(t *testing.T) {
	a, _, _ := newTest(t)
	id, _ := login(t, a)
	want := Identity{User: "admin", Groups: []string{"system:authenticated", "system:masters"}}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestNobodyIsAStranger(t *testing.T) {
	for _, id := range []Identity{{}, Anonymous()} {
		if !id.Anonymous() || !id.Caller().Stranger() {
			t.Errorf("%+v is taken for somebody", id)
		}
	}
	if id := (Identity{User: "alice"}); id.Anonymous() || id.Caller().User != "alice" {
		t.Errorf("%+v is not taken for alice", id)
	}
}

func TestAChangedPasswordCountsAtOnce(t *testing.T) {
	a, _, _ := newTest(t)
	login(t, a)
	if _, err := a.SetPassword(t.Context(), UserAdmin, "new one"); err != nil {
		t.Fatal(err)
	}
	_, _, err := a.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	if _, _, err := a.Basic(t.Context(), UserAdmin, "new one", netip.Addr{}); err != nil {
		t.Errorf("the new password is refused: %v", err)
	}
}

func TestAResetPasswordIsMadeWhenNoneIsGiven(t *testing.T) {
	a, _, _ := newTest(t)
	made, err := a.SetPassword(t.Context(), UserAdmin, "")
	if err != nil || len(made) != madePassword {
		t.Fatalf("SetPassword = %q, %v", made, err)
	}
	if _, _, err := a.Basic(t.Context(), UserAdmin, made, netip.Addr{}); err != nil {
		t.Errorf("the password made is refused: %v", err)
	}
}

func TestAPasswordForNobodyIsNotSet(t *testing.T) {
	a, _, _ := newTest(t)
	_, err := a.SetPassword(t.Context(), "bob", "x")
	wantError(t, err, metadata.ErrNotFound)
}

func TestTwoServersThatStartTogetherMakeOneAdmin(t *testing.T) {
	store := &memory{people: map[string]metadata.User{}}
	racing := &raced{userStore{store}}
	a, err := New(Config{Users: racing, Tokens: tokenStore{store}, Keys: keyStore{store}, Issuer: "larder"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := a.EnsureAdmin(t.Context(), "")
	if err != nil || made != "" {
		t.Errorf("EnsureAdmin = %q, %v; want no password that does not count", made, err)
	}
	if got := store.people[UserAdmin].PasswordHash; got != "the other server's" {
		t.Errorf("the other server's admin was overwritten by %q", got)
	}
}

// raced is a store into which another server writes just before Create.
type raced struct{ userStore }

func (r *raced) Create(ctx context.Context, u metadata.User) error {
	r.people[UserAdmin] = metadata.User{Name: UserAdmin, PasswordHash: "the other server's"}
	return r.userStore.Create(ctx, u)
}

func TestAnAuthenticatorNeedsItsStores(t *testing.T) {
	store := &memory{}
	full := Config{Users: userStore{store}, Tokens: tokenStore{store}, Keys: keyStore{store}, Issuer: "larder", Now: time.Now}
	tests := []struct {
		name   string
		remove func(*Config)
	}{
		{"no users", func(c *Config) { c.Users = nil }},
		{"no tokens", func(c *Config) { c.Tokens = nil }},
		{"no keys", func(c *Config) { c.Keys = nil }},
		{"no issuer", func(c *Config) { c.Issuer = "" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := full
			tt.remove(&c)
			if _, err := New(c); err == nil {
				t.Error("New accepted it")
			}
		})
	}
}

func TestAPasswordChangedElsewhereIsRefusedOnceThatIsHeard(t *testing.T) {
	_, store, c := newTest(t)
	var changes metadata.Mark
	here, err := New(Config{
		Users: userStore{store}, Tokens: tokenStore{store}, Keys: keyStore{store}, Issuer: "larder", Now: c.Now,
		Changes: func() metadata.Mark { return changes },
	})
	if err != nil {
		t.Fatal(err)
	}
	login(t, here)
	if _, err := newServer(t, store, c).SetPassword(t.Context(), UserAdmin, "new one"); err != nil {
		t.Fatal(err)
	}
	changes++
	_, _, err = here.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
}

func TestASigningKeyAddedElsewhereIsKnownOnceThatIsHeard(t *testing.T) {
	_, store, c := newTest(t)
	var changes metadata.Mark
	here, err := New(Config{
		Users: userStore{store}, Tokens: tokenStore{store}, Keys: keyStore{store}, Issuer: "larder", Now: c.Now,
		Changes: func() metadata.Mark { return changes },
	})
	if err != nil {
		t.Fatal(err)
	}
	issue(t, here, pullApp, time.Minute) // it has read the keys
	key := metadata.SigningKey{ID: "theirs", Secret: randomBytes(signingKey), CreatedAt: c.Now().Add(time.Second)}
	if err := (keyStore{store}).Add(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	token := issue(t, newServer(t, store, c), pullApp, time.Minute)
	refused(t, here, token, ErrTokenInvalid)
	changes++
	if _, _, err := here.Verify(t.Context(), token); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

package authn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/testkit"
)

// house is an Authenticator on a real database, whose accounts can be changed.
type house struct {
	*Authenticator
	*Accounts
	db    *metadata.DB
	clock *testkit.Clock
}

func newHouse(t *testing.T) *house {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := &house{db: db, clock: testkit.NewClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))}
	h.Authenticator, err = New(Config{Users: db.Users, Tokens: db.Tokens, Keys: db.Keys, Issuer: "larder", Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	h.Accounts = NewAccounts(h.Authenticator, db.Users, db.Groups)
	if _, err := h.EnsureAdmin(t.Context(), testPassword); err != nil {
		t.Fatal(err)
	}
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted, CreatedAt: h.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) user(t *testing.T, name string) {
	t.Helper()
	_, err := h.CreateUser(t.Context(), name, testPassword)
	must(t, err)
}

// token makes an access token and returns its secret and its ID.
func (h *house) token(t *testing.T, n NewToken) (secret, id string) {
	t.Helper()
	n.Life = time.Hour
	secret, token, err := h.CreateToken(t.Context(), n)
	must(t, err)
	return secret, token.ID
}

// identity is that of whoever shows a bearer token.
func (h *house) identity(t *testing.T, bearer string) Identity {
	t.Helper()
	id, _, err := h.Verify(t.Context(), bearer)
	must(t, err)
	return id
}

func TestAUserIsInTheGroupsThatTheyWereAddedTo(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice")
	must(t, h.CreateGroup(t.Context(), "devs", UserAdmin))
	must(t, h.AddMember(t.Context(), "devs", "alice"))
	secret, _ := h.token(t, NewToken{User: "alice"})
	want := Identity{User: "alice", Groups: []string{"system:authenticated", "devs"}}
	if diff := cmp.Diff(want, h.identity(t, secret)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	must(t, h.RemoveMember(t.Context(), "devs", "alice"))
	if diff := cmp.Diff([]string{"system:authenticated"}, h.identity(t, secret).Groups); diff != "" {
		t.Errorf("groups at the next request (-want +got):\n%s", diff)
	}
}

func TestAServiceAccountIsInTheGroupsOfItsProject(t *testing.T) {
	h := newHouse(t)
	user, err := h.CreateServiceAccount(t.Context(), "demo", "ci")
	must(t, err)
	secret, _ := h.token(t, NewToken{User: user})
	want := Identity{
		User:   "system:serviceaccount:demo:ci",
		Groups: []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:demo"},
	}
	if diff := cmp.Diff(want, h.identity(t, secret)); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if project, name, ok := ParseServiceAccount(user); project != "demo" || name != "ci" || !ok {
		t.Errorf("ParseServiceAccount = %q, %q, %t", project, name, ok)
	}
}

func TestNoIssuerMakesAnybodyAMaster(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice")
	must(t, h.db.Users.ClaimGroups(t.Context(), "alice", []string{"system:masters", "system:serviceaccounts:demo", "devs"}, h.clock.Now().Add(time.Hour)))
	secret, _ := h.token(t, NewToken{User: "alice"})
	if diff := cmp.Diff([]string{"system:authenticated", "devs"}, h.identity(t, secret).Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestACapIsCarriedByRegistryTokensAndCountsAsItIsNow(t *testing.T) {
	h := newHouse(t)
	limit, err := NewCap([]string{"read"}, []string{"demo"})
	must(t, err)
	secret, id := h.token(t, NewToken{User: UserAdmin, Cap: limit})
	who, credential, err := h.Basic(t.Context(), "unused", secret, netip.Addr{})
	must(t, err)
	registryToken, _, err := h.Issue(t.Context(), who, credential, Everything(), 5*time.Minute)
	must(t, err)
	for name, bearer := range map[string]string{"access token": secret, "registry token": registryToken} {
		if diff := cmp.Diff(limit, h.identity(t, bearer).Cap); diff != "" {
			t.Errorf("cap of the %s (-want +got):\n%s", name, diff)
		}
	}
	must(t, h.RevokeToken(t.Context(), id))
	for _, bearer := range []string{secret, registryToken} {
		_, _, err := h.Verify(t.Context(), bearer)
		wantError(t, err, ErrTokenInvalid)
	}
}

func TestWhoeverIsDisabledIsRefusedByPasswordAndByToken(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice")
	secret, _ := h.token(t, NewToken{User: "alice"})
	who, credential, err := h.Basic(t.Context(), "alice", testPassword, netip.Addr{})
	must(t, err)
	registryToken, _, err := h.Issue(t.Context(), who, credential, nil, 5*time.Minute)
	must(t, err)
	must(t, h.SetDisabled(t.Context(), "alice", true))
	_, _, err = h.Basic(t.Context(), "alice", testPassword, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	for _, bearer := range []string{secret, registryToken} {
		_, _, err := h.Verify(t.Context(), bearer)
		wantError(t, err, ErrTokenInvalid)
	}
	must(t, h.SetDisabled(t.Context(), "alice", false))
	if id := h.identity(t, registryToken); id.User != "alice" {
		t.Errorf("identity = %+v", id)
	}
}

func TestFailuresCostTheSameWhoeverIsNamed(t *testing.T) {
	h := newHouse(t)
	h.user(t, "disabled")
	must(t, h.SetDisabled(t.Context(), "disabled", true))
	user, err := h.CreateServiceAccount(t.Context(), "demo", "ci")
	must(t, err)
	must(t, h.db.Users.Create(t.Context(), metadata.User{Name: "elsewhere", Issuer: "https://id.example.com", Subject: "1"}))
	for _, name := range []string{"disabled", user, "elsewhere", "nobody"} {
		// Also the second time, when a right password would be remembered.
		for range 2 {
			_, _, err := h.Basic(t.Context(), name, testPassword, netip.Addr{})
			wantError(t, err, ErrInvalidCredentials)
		}
	}
	ctx := busy(t, h.Authenticator)
	for _, name := range []string{"disabled", user, "elsewhere", "nobody"} {
		if _, _, err := h.Basic(ctx, name, testPassword, netip.Addr{}); errors.Is(err, ErrInvalidCredentials) {
			t.Errorf("%s was refused without a computation", name)
		}
	}
}

func TestAnAccountMadeAnewHasNothingOfTheOneBefore(t *testing.T) {
	h := newHouse(t)
	h.user(t, "alice")
	who, credential, err := h.Basic(t.Context(), "alice", testPassword, netip.Addr{})
	must(t, err)
	registryToken, _, err := h.Issue(t.Context(), who, credential, nil, 5*time.Minute)
	must(t, err)
	secret, _ := h.token(t, NewToken{User: "alice"})
	must(t, h.Delete(t.Context(), "alice"))
	h.clock.Pass(time.Second)
	_, err = h.CreateUser(t.Context(), "alice", "another password")
	must(t, err)
	_, _, err = h.Basic(t.Context(), "alice", testPassword, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	for _, bearer := range []string{registryToken, secret} {
		_, _, err := h.Verify(t.Context(), bearer)
		wantError(t, err, ErrTokenInvalid)
	}
}

func TestAdminStays(t *testing.T) {
	h := newHouse(t)
	wantError(t, h.Delete(t.Context(), UserAdmin), ErrAdminStays)
	wantError(t, h.SetDisabled(t.Context(), UserAdmin, true), ErrAdminStays)
	if _, _, err := h.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{}); err != nil {
		t.Errorf("admin is locked out: %v", err)
	}
}

func TestNamesThatBreakALoginOrAreTheSystemsAreRefused(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"", "a:b", "system:admin", "a/b", "a b", "-u", "ä", "a\n", string(make([]byte, 200))} {
		_, err := h.CreateUser(t.Context(), name, testPassword)
		wantError(t, err, ErrName)
		wantError(t, h.CreateGroup(t.Context(), name, UserAdmin), ErrName)
		_, err = h.CreateServiceAccount(t.Context(), "demo", name)
		wantError(t, err, ErrName)
	}
	for _, name := range []string{"alice", "alice@example.com", "a.b-c_d", "Bob"} {
		_, err := h.CreateUser(t.Context(), name, testPassword)
		must(t, err)
	}
	_, err := h.CreateUser(t.Context(), "alice", testPassword)
	wantError(t, err, metadata.ErrExists)
	_, err = h.CreateServiceAccount(t.Context(), "nowhere", "ci")
	wantError(t, err, metadata.ErrNotFound)
}

func TestOnlyWhoLogsInByPasswordGetsOne(t *testing.T) {
	h := newHouse(t)
	user, err := h.CreateServiceAccount(t.Context(), "demo", "ci")
	must(t, err)
	must(t, h.db.Users.Create(t.Context(), metadata.User{Name: "elsewhere", Issuer: "https://id.example.com", Subject: "1"}))
	for _, name := range []string{user, "elsewhere"} {
		_, err := h.SetPassword(t.Context(), name, testPassword)
		wantError(t, err, ErrNoPassword)
	}
}

func TestTheLastUseOfATokenIsWrittenLater(t *testing.T) {
	h := newHouse(t)
	secret, id := h.token(t, NewToken{User: UserAdmin})
	h.clock.Pass(time.Minute)
	h.identity(t, secret)
	if token, err := h.db.Tokens.Get(t.Context(), id); err != nil || !token.UsedAt.IsZero() {
		t.Errorf("a request has waited for the last use: %v, %v", token.UsedAt, err)
	}
	must(t, h.writeUses(t.Context()))
	if token, err := h.db.Tokens.Get(t.Context(), id); err != nil || !token.UsedAt.Equal(h.clock.Now()) {
		t.Errorf("last use = %v, %v; want %v", token.UsedAt, err, h.clock.Now())
	}
}

// ended is a context that is over.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestTheLastUsesAreWrittenAtTheEnd(t *testing.T) {
	h := newHouse(t)
	secret, id := h.token(t, NewToken{User: UserAdmin})
	h.identity(t, secret)
	h.Run(ended(t), slog.New(slog.DiscardHandler))
	if token, err := h.db.Tokens.Get(t.Context(), id); err != nil || token.UsedAt.IsZero() {
		t.Errorf("last use = %v, %v", token.UsedAt, err)
	}
}

func TestUsesThatCouldNotBeWrittenAreKeptAndBounded(t *testing.T) {
	a, store, c := newTest(t)
	secret, token := createToken(t, a, time.Hour)
	_, _, err := a.Verify(t.Context(), secret)
	must(t, err)
	store.fault = errStore
	wantError(t, a.writeUses(t.Context()), errStore)
	store.fault = nil
	must(t, a.writeUses(t.Context()))
	if used := store.tokens[0].UsedAt; !used.Equal(c.Now()) {
		t.Errorf("the use of %s was lost: %v", token.ID, used)
	}
	for range maxUses + 10 {
		a.uses.note(randomString(base62, tokenID), c.Now())
	}
	if n := len(a.uses.gathered); n != maxUses {
		t.Errorf("%d uses are gathered, want %d at most", n, maxUses)
	}
}

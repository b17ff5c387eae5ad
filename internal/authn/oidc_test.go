package authn

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

// entrance is a house whose people log in at an issuer.
type entrance struct {
	*house
	*OIDC
	issuer *oidctest.Issuer
}

func newEntrance(t *testing.T, changes ...func(*OIDCConfig)) *entrance {
	t.Helper()
	issuer, err := oidctest.Start()
	must(t, err)
	t.Cleanup(issuer.Close)
	e := &entrance{house: newHouse(t), issuer: issuer}
	issuer.FastForward(time.Until(e.clock.Now()))
	c := OIDCConfig{
		Issuer: issuer.Issuer(), ClientID: issuer.ClientID, ClientSecret: issuer.ClientSecret,
		UsernamePrefix: "oidc:", GroupsClaim: "groups", GroupsPrefix: "oidc:",
	}
	for _, change := range changes {
		change(&c)
	}
	e.OIDC = NewOIDC(e.Authenticator, e.db.Users, c)
	return e
}

// pass lets time go by, here and at the issuer.
func (e *entrance) pass(d time.Duration) {
	e.clock.Pass(d)
	e.issuer.FastForward(d)
}

func jane() *mockoidc.MockUser {
	return &mockoidc.MockUser{Subject: "s-1", PreferredUsername: "jane", Email: "jane@example.com", EmailVerified: true, Groups: []string{"devs"}}
}

// sentBack is what a program has after its user was at the issuer.
func (e *entrance) sentBack(t *testing.T, user mockoidc.User) CodeLogin {
	t.Helper()
	endpoints, err := e.Endpoints()
	must(t, err)
	l := CodeLogin{
		Verifier: strings.Repeat("verifier-", 6), Nonce: "a nonce of this login",
		RedirectURI: "http://127.0.0.1:1234/callback", Description: "a test",
	}
	l.Code, err = e.issuer.SendBack(t.Context(), user, oidctest.Visit{
		Verifier: l.Verifier, Nonce: l.Nonce, RedirectURI: l.RedirectURI, Scope: strings.Join(endpoints.Scopes, " "),
	})
	must(t, err)
	return l
}

// logIn logs somebody in and tells who they are.
func (e *entrance) logIn(t *testing.T, user mockoidc.User) (id Identity, login Login) {
	t.Helper()
	login, err := e.LogInByCode(t.Context(), e.sentBack(t, user), home)
	must(t, err)
	return e.identity(t, login.Secret), login
}

// refused is the reason why somebody is not let in whom the issuer knows.
func (e *entrance) refused(t *testing.T, user mockoidc.User) string {
	t.Helper()
	_, err := e.LogInByCode(t.Context(), e.sentBack(t, user), home)
	refusal, ok := errors.AsType[*LoginError](err)
	if !ok {
		t.Fatalf("error = %v, want a *LoginError", err)
	}
	return refusal.Reason
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%q does not say %q", got, want)
	}
}

func TestWhoLogsInAtTheIssuerHasAnAccountAndATokenForADay(t *testing.T) {
	e := newEntrance(t)
	id, login := e.logIn(t, jane())
	want := Identity{User: "oidc:jane", Groups: []string{GroupAuthenticated, "oidc:devs"}}
	if diff := cmp.Diff(want, id); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	if got := login.Token.ExpiresAt.Sub(e.clock.Now()); got != 24*time.Hour {
		t.Errorf("the token is good for %s", got)
	}
	if login.Token.User != "oidc:jane" || login.Token.Description != "a test" {
		t.Errorf("token = %+v", login.Token)
	}
	// The second login is the same account's.
	again, other := e.logIn(t, jane())
	if again.User != id.User || other.Secret == login.Secret {
		t.Errorf("the second login is %+v", again)
	}
	// It has no password, and gets none.
	_, _, err := e.Basic(t.Context(), "oidc:jane", "", home)
	wantError(t, err, ErrInvalidCredentials)
	_, err = e.SetPassword(t.Context(), "oidc:jane", testPassword)
	wantError(t, err, ErrNoPassword)
}

func TestAnAccountBelongsToTheSubjectWhateverItIsCalledLater(t *testing.T) {
	e := newEntrance(t)
	e.logIn(t, jane())
	renamed := jane()
	renamed.PreferredUsername = "joan"
	if id, _ := e.logIn(t, renamed); id.User != "oidc:jane" {
		t.Errorf("who was renamed at the issuer is %s", id.User)
	}
	// Another person who is called so now gets nothing of hers.
	heir := jane()
	heir.Subject = "s-2"
	wantText(t, e.refused(t, heir), "the user name oidc:jane is that of another account")
	heir.PreferredUsername = "joan"
	if id, _ := e.logIn(t, heir); id.User != "oidc:joan" {
		t.Errorf("the other person is %s", id.User)
	}
}

func TestNobodyGetsALocalAccountByHavingItsNameAtTheIssuer(t *testing.T) {
	e := newEntrance(t, func(c *OIDCConfig) { c.UsernamePrefix, c.GroupsPrefix = "", "" })
	e.user(t, "alice")
	for _, name := range []string{UserAdmin, "alice"} {
		user := jane()
		user.PreferredUsername, user.Groups = name, []string{GroupMasters}
		wantText(t, e.refused(t, user), "the user name "+name+" is that of another account")
	}
	// And no local account is made over one of the issuer's.
	if id, _ := e.logIn(t, jane()); id.User != "jane" {
		t.Errorf("identity = %+v", id)
	}
	if _, err := e.CreateUser(t.Context(), "jane", testPassword); err == nil {
		t.Error("a local account took the name over")
	}
}

func TestNamesThatAreKubernetesOwnAreNobodysAtAnIssuer(t *testing.T) {
	e := newEntrance(t)
	for _, prefix := range []string{"", "oidc:", "sys", "system"} {
		c := e.OIDCConfig
		c.UsernamePrefix, c.GroupsPrefix = prefix, prefix
		e.OIDC = NewOIDC(e.Authenticator, e.db.Users, c)
		user := jane()
		user.Subject = "with " + prefix
		user.Groups = []string{"system:masters", "tem:masters", ":masters", "system:serviceaccounts:demo", "", "a\x1b[31m", strings.Repeat("g", 254), "fine"}
		id, _ := e.logIn(t, user)
		for _, group := range id.Groups[1:] {
			if strings.HasPrefix(group, "system:") || strings.Contains(group, "\x1b") || group == prefix || len(group) > 253 {
				t.Errorf("with the prefix %q the issuer gave the group %.40q", prefix, group)
			}
		}
		if !slices.Contains(id.Groups, prefix+"fine") {
			t.Errorf("with the prefix %q the groups are %q", prefix, id.Groups)
		}
	}
	for _, name := range []string{"system:admin", "system:serviceaccount:demo:ci", "tem:masters", "a/b", "a b", strings.Repeat("n", 129)} {
		user := jane()
		user.Subject, user.PreferredUsername = "of "+name[:3], name
		wantText(t, e.refused(t, user), "no possible user name")
	}
}

func TestGroupsOfTheIssuerHoldAsLongAsTheLoginThatToldThem(t *testing.T) {
	e := newEntrance(t)
	e.logIn(t, jane())
	must(t, e.CreateGroup(t.Context(), "local", UserAdmin))
	must(t, e.AddMember(t.Context(), "local", "oidc:jane"))
	// A token that outlives the login.
	secret, _, err := e.CreateToken(t.Context(), NewToken{User: "oidc:jane", Life: 30 * 24 * time.Hour})
	must(t, err)
	wantGroups := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(append([]string{GroupAuthenticated}, want...), e.identity(t, secret).Groups); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
	}
	wantGroups("local", "oidc:devs")
	moved := jane()
	moved.Groups = []string{"ops"}
	e.logIn(t, moved)
	wantGroups("local", "oidc:ops")
	e.pass(24*time.Hour - time.Second)
	wantGroups("local", "oidc:ops")
	e.pass(time.Second)
	wantGroups("local")
	e.logIn(t, moved)
	wantGroups("local", "oidc:ops")
}

func TestOnlyMembersOfAnAllowedGroupMayLogIn(t *testing.T) {
	e := newEntrance(t, func(c *OIDCConfig) { c.AllowedGroups = []string{"devs", "ops"} })
	e.logIn(t, jane())
	stranger := jane()
	stranger.Subject, stranger.PreferredUsername = "s-2", "mallory"
	for _, groups := range [][]string{nil, {"oidc:devs"}, {"dev"}} {
		stranger.Groups = groups
		wantText(t, e.refused(t, stranger), "none of the groups whose members may log in")
	}
	if _, err := e.db.Users.Get(t.Context(), "oidc:mallory"); err == nil {
		t.Error("who may not log in got an account")
	}
}

func TestADisabledAccountDoesNotLogInAtTheIssuerEither(t *testing.T) {
	e := newEntrance(t)
	_, login := e.logIn(t, jane())
	must(t, e.SetDisabled(t.Context(), "oidc:jane", true))
	wantText(t, e.refused(t, jane()), "oidc:jane is disabled")
	_, _, err := e.AccessToken(t.Context(), login.Secret)
	wantError(t, err, ErrTokenInvalid)
}

func TestThoseWhoLogInAtTheIssuerTwiceAtOnceHaveOneAccount(t *testing.T) {
	e := newEntrance(t)
	logins := []CodeLogin{e.sentBack(t, jane()), e.sentBack(t, jane()), e.sentBack(t, jane())}
	failed := make(chan error, len(logins))
	for _, l := range logins {
		go func() {
			_, err := e.LogInByCode(context.WithoutCancel(t.Context()), l, home)
			failed <- err
		}()
	}
	for range logins {
		must(t, <-failed)
	}
}

func TestFailedLoginsAtTheIssuerAreLimitedLikeWrongPasswords(t *testing.T) {
	e := newEntrance(t)
	for range 20 {
		e.logIn(t, jane()) // those that succeed do not count
	}
	l := e.sentBack(t, jane())
	wrong, tries := l, 0
	wrong.Code = "guessed"
	for {
		_, err := e.LogInByCode(t.Context(), wrong, abroad)
		if limit, ok := errors.AsType[*AttemptsError](err); ok {
			wantText(t, limit.Error(), "too many logins were tried from your address")
			break
		}
		wantError(t, err, ErrLogin)
		if tries++; tries > 100 {
			t.Fatal("there is no limit")
		}
	}
	if tries != 10 {
		t.Errorf("%d codes could be tried, want 10", tries)
	}
	asked := e.issuer.Asked(mockoidc.TokenEndpoint)
	_, err := e.LogInByCode(t.Context(), l, abroad)
	if _, ok := errors.AsType[*AttemptsError](err); !ok || e.issuer.Asked(mockoidc.TokenEndpoint) != asked {
		t.Errorf("error = %v, and the issuer was asked %d times more", err, e.issuer.Asked(mockoidc.TokenEndpoint)-asked)
	}
	_, err = e.LogInByCode(t.Context(), l, home) // nobody else is held up
	must(t, err)
}

func TestAnIssuerIsNotAskedWithoutEndOnBehalfOfOneAddress(t *testing.T) {
	e := newEntrance(t)
	asked := 0
	for {
		_, err := e.StartDevice(t.Context(), abroad)
		if _, ok := errors.AsType[*AttemptsError](err); ok {
			break
		}
		must(t, err)
		if asked++; asked > 1000 {
			t.Fatal("there is no limit")
		}
	}
	if asked != 120 {
		t.Errorf("the issuer was asked %d times, want 120", asked)
	}
	_, err := e.StartDevice(t.Context(), home)
	must(t, err)
	_, err = e.StartDevice(t.Context(), netip.Addr{})
	must(t, err)
}

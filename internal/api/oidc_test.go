package api

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

// withIssuer has people log in at an issuer.
func withIssuer(t *testing.T) (*fixture, *oidctest.Issuer) {
	t.Helper()
	issuer, err := oidctest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Close)
	f := newFixture(t)
	issuer.FastForward(time.Until(f.now))
	f.config.OIDC = authn.NewOIDC(f.authn, f.db.Users, authn.OIDCConfig{
		Issuer: issuer.Issuer(), ClientID: issuer.ClientID, ClientSecret: issuer.ClientSecret,
		UsernamePrefix: "oidc:", GroupsClaim: "groups", GroupsPrefix: "oidc:",
	})
	f.config.Address = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }
	f.handler = New(f.config)
	return f, issuer
}

// exchange is a request of somebody whom the issuer has sent back.
func (f *fixture) exchange(issuer *oidctest.Issuer, change func(*CodeExchange)) string {
	f.t.Helper()
	e := CodeExchange{
		CodeVerifier: strings.Repeat("verifier-", 6), Nonce: "a nonce of this login",
		RedirectURI: "http://127.0.0.1:1234/callback", Description: "a test",
	}
	code, err := issuer.SendBack(f.t.Context(), mockoidc.DefaultUser(), oidctest.Visit{
		Verifier: e.CodeVerifier, Nonce: e.Nonce, RedirectURI: e.RedirectURI, Scope: "openid profile groups",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	e.Code = code
	if change != nil {
		change(&e)
	}
	text, err := json.Marshal(e)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// events are what the audit log has, without their times, the newest first.
func (f *fixture) events() []metadata.AuditEntry {
	f.t.Helper()
	all, err := f.db.Audit.List(f.t.Context(), metadata.AuditQuery{Limit: 100})
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range all {
		all[i].ID, all[i].At = 0, time.Time{}
	}
	return all
}

func TestTheWaysToLogInAreToldToEverybody(t *testing.T) {
	f := newFixture(t)
	var got LoginWays
	f.want(f.do(nobody, "GET", "/api/v1/login", ""), 200, &got)
	if diff := cmp.Diff(LoginWays{Password: true}, got); diff != "" {
		t.Errorf("ways (-want +got):\n%s", diff)
	}
	f, issuer := withIssuer(t)
	f.want(f.do(nobody, "GET", "/api/v1/login", ""), 200, &got)
	want := LoginWays{Password: true, OIDC: &OIDCWay{
		Issuer: issuer.Issuer(), ClientID: issuer.ClientID, AuthorizationEndpoint: issuer.AuthorizationEndpoint(),
		DeviceAuthorizationEndpoint: issuer.DeviceEndpoint(), Scopes: []string{"openid", "profile", "email", "groups"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ways (-want +got):\n%s", diff)
	}
}

func TestAnIssuerThatDoesNotAnswerIsToldWithThePasswordsThatDo(t *testing.T) {
	f, issuer := withIssuer(t)
	issuer.SpoilFields(mockoidc.DiscoveryEndpoint, map[string]any{"issuer": "https://evil.example.com"})
	var got LoginWays
	f.want(f.do(nobody, "GET", "/api/v1/login", ""), 200, &got)
	if !got.Password || got.OIDC == nil || !strings.Contains(got.OIDC.Problem, "does not answer") || got.OIDC.AuthorizationEndpoint != "" {
		t.Errorf("ways = %+v", got)
	}
	f.wantProblem(f.do(nobody, "POST", "/api/v1/login/oidc", f.exchange(issuer, nil)), 503, "the issuer "+issuer.Issuer()+" does not answer", "try again")
	f.login() // a password is as good as ever
}

func TestACodeOfTheIssuerIsExchangedForAnAccessToken(t *testing.T) {
	f, issuer := withIssuer(t)
	var token Token
	f.want(f.do(nobody, "POST", "/api/v1/login/oidc", f.exchange(issuer, nil)), 201, &token)
	if token.User != "oidc:jane.doe" || token.Description != "a test" || token.ExpiresAt.Sub(f.now) != 24*time.Hour {
		t.Errorf("token = %+v", token)
	}
	var who User
	f.want(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 200, &who)
	if diff := cmp.Diff(User{Name: "oidc:jane.doe", Groups: []string{"system:authenticated", "oidc:design", "oidc:engineering"}}, who); diff != "" {
		t.Errorf("user (-want +got):\n%s", diff)
	}
	var account Account
	f.want(f.do(admin, "GET", "/api/v1/users/oidc:jane.doe", ""), 200, &account)
	if account.Issuer != issuer.Issuer() || len(account.Groups) != 2 {
		t.Errorf("account = %+v", account)
	}
	if diff := cmp.Diff([]metadata.AuditEntry{
		{Actor: "oidc:jane.doe", Address: "192.0.2.1", Action: "login-oidc", Result: "done"},
	}, f.events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	f.want(f.do(bearer(token.Token), "DELETE", "/api/v1/tokens/current", ""), 204, nil)
	f.want(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 401, nil)
}

func TestALoginAtTheIssuerThatIsRefusedSaysWhyAndIsInTheAuditLog(t *testing.T) {
	f, issuer := withIssuer(t)
	if _, err := f.config.Accounts.CreateUser(t.Context(), "alice", password); err != nil {
		t.Fatal(err)
	}
	disabled := func(yes bool) {
		if err := f.config.Accounts.SetDisabled(t.Context(), "oidc:jane.doe", yes); err != nil {
			t.Fatal(err)
		}
	}
	f.want(f.do(nobody, "POST", "/api/v1/login/oidc", f.exchange(issuer, nil)), 201, nil)
	disabled(true)
	tests := []struct {
		name   string
		change func(*CodeExchange)
		status int
		want   string
	}{
		{"an account that is disabled", nil, 403, "the login was refused: the account oidc:jane.doe is disabled"},
		{"a guessed code", func(e *CodeExchange) { e.Code = "guessed" }, 401, "could not be verified"},
		{"another nonce", func(e *CodeExchange) { e.Nonce = "another nonce than that" }, 401, "could not be verified"},
		{"another verifier", func(e *CodeExchange) { e.CodeVerifier = strings.Repeat("x", 43) }, 401, "could not be verified"},
		{"back to another machine", func(e *CodeExchange) { e.RedirectURI = "https://evil.example.com/" }, 400, "is not on the user's own machine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			f.wantProblem(f.do(nobody, "POST", "/api/v1/login/oidc", f.exchange(issuer, tt.change)), tt.status, tt.want)
			last := f.events()[0]
			if last.Action != "login-oidc" || last.Actor != "" || last.Result != "refused" || last.Address != "192.0.2.1" || !strings.Contains(last.Detail, tt.want) {
				t.Errorf("event = %+v", last)
			}
		})
	}
	f.t = t
	for _, short := range []func(*CodeExchange){
		func(e *CodeExchange) { e.Nonce = "" }, func(e *CodeExchange) { e.CodeVerifier = "short" }, func(e *CodeExchange) { e.Code = "" },
		func(e *CodeExchange) { e.Code = strings.Repeat("c", 5000) },
	} {
		f.wantProblem(f.do(nobody, "POST", "/api/v1/login/oidc", f.exchange(issuer, short)), 422, "openapi.json describes it")
	}
	for _, secret := range []string{issuer.ClientSecret, "guessed"} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log tells a secret: %s", f.log)
		}
	}
	disabled(false)
	f.want(f.do(nobody, "POST", "/api/v1/login/oidc", f.exchange(issuer, nil)), 201, nil)
}

func TestTooManyFailedLoginsAtTheIssuerHaveToWait(t *testing.T) {
	f, issuer := withIssuer(t)
	guess := f.exchange(issuer, func(e *CodeExchange) { e.Code = "guessed" })
	for range 10 {
		f.want(f.do(nobody, "POST", "/api/v1/login/oidc", guess), 401, nil)
	}
	w := f.do(nobody, "POST", "/api/v1/login/oidc", guess)
	f.wantProblem(w, 429, "too many logins were tried from your address")
	if w.Header().Get("Retry-After") != "60" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	f.login() // by password from there
}

func TestALoginOnADeviceIsAskedForUntilItIsConfirmed(t *testing.T) {
	f, _ := withIssuer(t)
	var d DeviceLogin
	f.want(f.do(nobody, "POST", "/api/v1/login/oidc/device", ""), 201, &d)
	if d.UserCode == "" || d.IntervalSeconds != 1 || d.ExpiresInSeconds != 600 || !strings.Contains(d.VerificationURIComplete, d.UserCode) {
		t.Errorf("login = %+v", d)
	}
	ask := `{"deviceCode": "` + d.DeviceCode + `", "description": "a device"}`
	var a DeviceAnswer
	f.want(f.do(nobody, "POST", "/api/v1/login/oidc/device/token", ask), 202, &a)
	if a.Token != nil || len(f.events()) != 0 {
		t.Errorf("answer = %+v, events = %+v", a, f.events())
	}
	response, err := http.Get(d.VerificationURIComplete)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	f.want(f.do(nobody, "POST", "/api/v1/login/oidc/device/token", ask), 201, &a)
	if a.Token == nil || a.Token.User != "oidc:jane.doe" || a.Token.Description != "a device" {
		t.Fatalf("answer = %+v", a)
	}
	f.want(f.do(bearer(a.Token.Token), "GET", "/api/v1/whoami", ""), 200, nil)
	f.wantProblem(f.do(nobody, "POST", "/api/v1/login/oidc/device/token", ask), 401, "could not be verified")
	if diff := cmp.Diff([]string{"refused ", "done oidc:jane.doe"}, []string{
		f.events()[0].Result + " " + f.events()[0].Actor, f.events()[1].Result + " " + f.events()[1].Actor,
	}); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestWithoutAnIssuerNobodyLogsInThere(t *testing.T) {
	f := newFixture(t)
	for path, body := range map[string]string{
		"/api/v1/login/oidc":              `{"code": "x", "codeVerifier": "` + strings.Repeat("x", 43) + `", "nonce": "0123456789abcdef", "redirectURI": "http://127.0.0.1:1/"}`,
		"/api/v1/login/oidc/device":       "",
		"/api/v1/login/oidc/device/token": `{"deviceCode": "x"}`,
	} {
		f.wantProblem(f.do(nobody, "POST", path, body), 404, "no issuer at which people log in")
	}
}

func TestLoginsOfPipelinesAreInTheAuditLog(t *testing.T) {
	issuer, err := oidctest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Close)
	f := newFixture(t)
	f.authn, err = authn.New(authn.Config{
		Users: f.db.Users, Tokens: f.db.Tokens, Keys: f.db.Keys, Issuer: "larder", Now: f.config.Now,
		CI: []authn.CIRule{{Issuer: issuer.Issuer(), Audience: "larder", Claims: map[string]string{"ref": "main"}, User: "admin"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.config.Authenticator = f.authn
	f.handler = New(f.config)
	for _, tt := range []struct {
		ref    string
		status int
		want   metadata.AuditEntry
	}{
		{"main", 201, metadata.AuditEntry{Actor: "admin", Action: "login-ci", Result: "done"}},
		{"feature", 401, metadata.AuditEntry{Action: "login-ci", Result: "refused"}},
	} {
		token, err := issuer.Keypair.SignJWT(jwt.MapClaims{
			"iss": issuer.Issuer(), "aud": "larder", "sub": "a job", "ref": tt.ref,
			"iat": f.now.Unix(), "exp": f.now.Add(time.Minute).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		f.want(f.do(bearer(token), "POST", "/api/v1/login/ci", ""), tt.status, nil)
		got := f.events()[0]
		got.Address, got.Detail = "", ""
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
	}
}

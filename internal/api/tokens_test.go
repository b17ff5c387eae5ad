package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoggingInMakesAnAccessTokenForADay(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	if !strings.HasPrefix(token.Token, "larder_") || token.ID == "" {
		t.Fatalf("token = %+v", token)
	}
	want := Token{ID: token.ID, Token: token.Token, User: "admin", ExpiresAt: f.now.Add(24 * time.Hour)}
	if diff := cmp.Diff(want, token); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	f.now = f.now.Add(24*time.Hour - time.Second)
	f.want(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 200, nil)
	f.now = f.now.Add(time.Second)
	f.wantProblem(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 401, "has expired")
}

func TestATokensLifeAndPurposeCanBeChosen(t *testing.T) {
	f := newFixture(t)
	var token Token
	f.want(f.do(admin, "POST", "/api/v1/tokens", `{"description":"ci","expirationSeconds":60}`), 201, &token)
	if want := f.now.Add(time.Minute); !token.ExpiresAt.Equal(want) {
		t.Errorf("expiresAt = %s, want %s", token.ExpiresAt, want)
	}
	kept, err := f.db.Tokens.Get(t.Context(), token.ID)
	if err != nil || kept.Description != "ci" {
		t.Errorf("kept = %q, %v", kept.Description, err)
	}
}

func TestAnAccessTokenCannotMakeAnother(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	for name, who := range map[string]as{
		"as a bearer token": bearer(token.Token),
		"as a password":     func(r *http.Request) { r.SetBasicAuth("admin", token.Token) },
	} {
		t.Run(name, func(t *testing.T) {
			f.wantProblem(f.do(who, "POST", "/api/v1/tokens", `{}`), 403, "the password")
		})
	}
}

func TestLoggingOutRevokesTheTokenAtOnce(t *testing.T) {
	f := newFixture(t)
	token, other := f.login(), f.login()
	f.want(f.do(bearer(token.Token), "DELETE", "/api/v1/tokens/current", ""), 204, nil)
	f.wantProblem(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 401, "revoked")
	f.want(f.do(bearer(other.Token), "GET", "/api/v1/whoami", ""), 200, nil)
}

func TestLoggingOutByPasswordSaysThatThereIsNothingToRevoke(t *testing.T) {
	f := newFixture(t)
	f.wantProblem(f.do(admin, "DELETE", "/api/v1/tokens/current", ""), 400, "no access token to revoke")
}

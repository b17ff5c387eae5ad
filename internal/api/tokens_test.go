package api

import (
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
	want := Token{ID: token.ID, Token: token.Token, User: "admin", CreatedAt: f.now, ExpiresAt: f.now.Add(24 * time.Hour)}
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

// make makes an access token as admin.
func (f *fixture) make(body string) Token {
	f.t.Helper()
	var token Token
	f.want(f.do(admin, "POST", "/api/v1/tokens", body), 201, &token)
	return token
}

func TestALimitedTokenCannotGetRidOfItsLimit(t *testing.T) {
	f := newFixture(t)
	other := f.login()
	for _, body := range []string{
		`{"name":"reader","scopes":["read","write","delete"]}`,
		`{"name":"demo-only","scopes":["admin"],"targets":["demo"]}`,
		`{"name":"targets-only","targets":["demo"]}`,
	} {
		who := bearer(f.make(body).Token)
		f.wantProblem(f.do(who, "POST", "/api/v1/tokens", `{}`), 403, "limited")
		f.wantProblem(f.do(who, "PUT", "/api/v1/users/admin/password", `{"password":"x","old":"`+password+`"}`), 403, "limited")
		f.wantProblem(f.do(who, "DELETE", "/api/v1/tokens/"+other.ID, ""), 403, "limited")
		f.want(f.do(who, "DELETE", "/api/v1/tokens/current", ""), 204, nil)
	}
	// A login's own token is not limited.
	f.want(f.do(bearer(other.Token), "POST", "/api/v1/tokens", `{}`), 201, nil)
}

func TestATokenIsNamedLimitedAndListedWithoutItsSecret(t *testing.T) {
	f := newFixture(t)
	made := f.make(`{"name":"laptop","description":"pushes","scopes":["write"],"targets":["demo/team-*"],"expirationSeconds":3600}`)
	want := Token{
		ID: made.ID, User: "admin", Name: "laptop", Description: "pushes", Scopes: []string{"read", "write"}, Targets: []string{"demo/team-*"},
		CreatedAt: f.now, ExpiresAt: f.now.Add(time.Hour),
	}
	var all TokenList
	f.want(f.do(admin, "GET", "/api/v1/tokens", ""), 200, &all)
	if diff := cmp.Diff([]Token{want}, all.Items); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	var one Token
	f.want(f.do(admin, "GET", "/api/v1/tokens/"+made.ID, ""), 200, &one)
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
	f.wantProblem(f.do(admin, "POST", "/api/v1/tokens", `{"name":"laptop"}`), 409, "name laptop already")
	f.wantProblem(f.do(admin, "POST", "/api/v1/tokens", `{"scopes":["pull"]}`), 400, "read, write, delete and admin")
	f.wantProblem(f.do(admin, "POST", "/api/v1/tokens", `{"targets":["*"]}`), 400, "demo/team-*")
	f.now = f.now.Add(time.Hour)
	f.make(`{"name":"laptop"}`) // the other has expired
}

func TestDescribingATokenDoesNotTakeTheRightToDelete(t *testing.T) {
	f := newFixture(t)
	writer := bearer(f.make(`{"name":"writer","scopes":["write"]}`).Token)
	reader := bearer(f.make(`{"name":"reader","scopes":["read"]}`).Token)
	made := f.make(`{"name":"laptop","description":"old"}`)
	var got Token
	f.want(f.do(writer, "PATCH", "/api/v1/tokens/"+made.ID, `{"description":"new"}`), 200, &got)
	if got.Description != "new" || got.Name != "laptop" {
		t.Errorf("token = %+v", got)
	}
	f.want(f.do(admin, "PATCH", "/api/v1/tokens/"+made.ID, `{"name":"desk"}`), 200, &got)
	if got.Description != "new" || got.Name != "desk" {
		t.Errorf("token = %+v", got)
	}
	f.wantProblem(f.do(reader, "PATCH", "/api/v1/tokens/"+made.ID, `{"description":"x"}`), 403, "scope write")
	f.wantProblem(f.do(admin, "PATCH", "/api/v1/tokens/"+made.ID, `{"name":"reader"}`), 409, "reader already")
	f.want(f.do(bearer(made.Token), "GET", "/api/v1/whoami", ""), 200, nil)
}

func TestATokenOfSomebodyElseIsAsIfThereWereNone(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	made := f.make(`{"name":"laptop"}`)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		body := ""
		if method == "PATCH" {
			body = `{}`
		}
		mine := f.do(bob, method, "/api/v1/tokens/"+made.ID, body)
		none := f.do(bob, method, "/api/v1/tokens/nothing", body)
		f.wantProblem(mine, 404)
		if got, want := mine.Body.String(), strings.ReplaceAll(none.Body.String(), "nothing", made.ID); got != want {
			t.Errorf("%s answers %s, and %s where there is none", method, got, want)
		}
	}
	f.wantProblem(f.do(bob, "GET", "/api/v1/tokens?user=admin", ""), 403, "list tokens")
	f.want(f.do(bearer(made.Token), "GET", "/api/v1/whoami", ""), 200, nil)
}

func TestARevokedTokenIsRefusedAtOnce(t *testing.T) {
	f := newFixture(t)
	made := f.make(`{"name":"laptop"}`)
	f.want(f.do(admin, "DELETE", "/api/v1/tokens/"+made.ID, ""), 204, nil)
	f.wantProblem(f.do(bearer(made.Token), "GET", "/api/v1/whoami", ""), 401, "revoked")
	f.wantProblem(f.do(admin, "DELETE", "/api/v1/tokens/"+made.ID, ""), 404, "does not exist")
}

func TestTokensArePaged(t *testing.T) {
	f := newFixture(t)
	made := map[string]bool{}
	for range 5 {
		made[f.login().ID] = true
	}
	after := ""
	for pages := 0; len(made) > 0 && pages < 6; pages++ {
		var page TokenList
		f.want(f.do(admin, "GET", "/api/v1/tokens?limit=2&after="+after, ""), 200, &page)
		for _, token := range page.Items {
			delete(made, token.ID)
		}
		after = page.Next
	}
	if len(made) != 0 || after != "" {
		t.Errorf("not listed: %v; next = %q", made, after)
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

package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// by is a user name and a password.
func by(user, password string) as {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// alice makes a user with a password of her own.
func (f *fixture) alice() as {
	f.t.Helper()
	f.want(f.do(admin, "POST", "/api/v1/users", `{"name":"alice","password":"hers"}`), 201, nil)
	return by("alice", "hers")
}

func TestAUserIsMadeWithAPasswordThatIsToldOnce(t *testing.T) {
	f := newFixture(t)
	var made, found Account
	f.want(f.do(admin, "POST", "/api/v1/users", `{"name":"alice"}`), 201, &made)
	if len(made.Password) < 20 {
		t.Fatalf("made = %+v", made)
	}
	f.want(f.do(by("alice", made.Password), "GET", "/api/v1/users/alice", ""), 200, &found)
	if diff := cmp.Diff(Account{Name: "alice", CreatedAt: f.now}, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	f.wantProblem(f.do(admin, "POST", "/api/v1/users", `{"name":"alice"}`), 409, "user alice was not made")
	f.wantProblem(f.do(admin, "POST", "/api/v1/users", `{"name":"system:admin"}`), 400, "not possible")
}

func TestAGivenPasswordIsNotToldAgain(t *testing.T) {
	f := newFixture(t)
	var made Account
	f.want(f.do(admin, "POST", "/api/v1/users", `{"name":"alice","password":"hers"}`), 201, &made)
	if made.Password != "" {
		t.Errorf("made = %+v", made)
	}
}

func TestUsersAreListedWithoutServiceAccounts(t *testing.T) {
	f := newFixture(t)
	f.alice()
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo"}`), 201, nil)
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/serviceaccounts", `{"name":"ci"}`), 201, nil)
	var first, second AccountList
	f.want(f.do(admin, "GET", "/api/v1/users?limit=1", ""), 200, &first)
	f.want(f.do(admin, "GET", "/api/v1/users?limit=1&after="+first.Next, ""), 200, &second)
	if len(first.Items) != 1 || first.Items[0].Name != "admin" || len(second.Items) != 1 || second.Items[0].Name != "alice" || second.Next != "" {
		t.Errorf("pages = %+v, %+v", first, second)
	}
	f.wantProblem(f.do(admin, "GET", "/api/v1/users/system:serviceaccount:demo:ci", ""), 404)
	f.wantProblem(f.do(admin, "DELETE", "/api/v1/users/system:serviceaccount:demo:ci", ""), 404)
}

func TestOnesOwnPasswordIsChangedWithTheOldOne(t *testing.T) {
	f := newFixture(t)
	alice := f.alice()
	const path = "/api/v1/users/alice/password"
	f.wantProblem(f.do(alice, "PUT", path, `{"password":"new"}`), 400, "the old one")
	f.wantProblem(f.do(alice, "PUT", path, `{"password":"new","old":"wrong"}`), 403, "the old one is wrong")
	f.want(f.do(alice, "PUT", path, `{"password":"new","old":"hers"}`), 200, nil)
	f.wantProblem(f.do(alice, "GET", "/api/v1/whoami", ""), 401)
	f.want(f.do(by("alice", "new"), "GET", "/api/v1/whoami", ""), 200, nil)
}

func TestATokenIsNotTakenForTheOldPassword(t *testing.T) {
	f := newFixture(t)
	token := f.login()
	f.wantProblem(f.do(bearer(token.Token), "PUT", "/api/v1/users/admin/password", `{"password":"x","old":"`+token.Token+`"}`), 403, "the old one is wrong")
}

func TestAnAdministratorGivesOthersAPasswordAndNobodyAdmin(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.alice(), f.bob()
	var made NewPassword
	f.want(f.do(admin, "PUT", "/api/v1/users/alice/password", `{}`), 200, &made)
	f.wantProblem(f.do(alice, "GET", "/api/v1/whoami", ""), 401)
	f.want(f.do(by("alice", made.Password), "GET", "/api/v1/whoami", ""), 200, nil)
	f.wantProblem(f.do(bob, "PUT", "/api/v1/users/alice/password", `{}`), 403, "update users")
	f.wantProblem(f.do(bob, "PUT", "/api/v1/users/nobody/password", `{}`), 403, "update users")
	f.wantProblem(f.do(admin, "PUT", "/api/v1/users/nobody/password", `{}`), 404, "does not exist")
}

func TestAdminIsNeitherRemovedNorDisabled(t *testing.T) {
	f := newFixture(t)
	f.wantProblem(f.do(admin, "DELETE", "/api/v1/users/admin", ""), 409, "admin cannot be removed")
	f.wantProblem(f.do(admin, "PATCH", "/api/v1/users/admin", `{"disabled":true}`), 409, "admin cannot be removed or disabled")
}

func TestADisabledUserIsRefusedUntilLetInAgain(t *testing.T) {
	f := newFixture(t)
	alice := f.alice()
	f.want(f.do(admin, "PATCH", "/api/v1/users/alice", `{"disabled":true}`), 204, nil)
	f.wantProblem(f.do(alice, "GET", "/api/v1/whoami", ""), 401)
	f.want(f.do(admin, "PATCH", "/api/v1/users/alice", `{"disabled":false}`), 204, nil)
	f.want(f.do(alice, "GET", "/api/v1/whoami", ""), 200, nil)
	f.want(f.do(admin, "DELETE", "/api/v1/users/alice", ""), 204, nil)
	f.wantProblem(f.do(alice, "GET", "/api/v1/whoami", ""), 401)
}

func TestAGroupIsMadeWithMembersAndTheyHaveItAtOnce(t *testing.T) {
	f := newFixture(t)
	alice := f.alice()
	var made Group
	f.want(f.do(admin, "POST", "/api/v1/groups", `{"name":"devs","members":["alice"]}`), 201, &made)
	if diff := cmp.Diff(Group{Name: "devs", Members: []string{"alice"}, Creator: "admin", CreatedAt: f.now}, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	wantGroups := func(want ...string) {
		t.Helper()
		var who User
		f.want(f.do(alice, "GET", "/api/v1/whoami", ""), 200, &who)
		if diff := cmp.Diff(want, who.Groups); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
	}
	wantGroups("system:authenticated", "devs")
	f.want(f.do(admin, "DELETE", "/api/v1/groups/devs/members/alice", ""), 204, nil)
	wantGroups("system:authenticated")
	f.wantProblem(f.do(admin, "DELETE", "/api/v1/groups/devs/members/alice", ""), 404, "not a member")
	f.want(f.do(admin, "PUT", "/api/v1/groups/devs/members/alice", ""), 204, nil)
	f.wantProblem(f.do(admin, "PUT", "/api/v1/groups/devs/members/nobody", ""), 404, "one of them does not exist")
	f.want(f.do(admin, "DELETE", "/api/v1/groups/devs", ""), 204, nil)
	wantGroups("system:authenticated")
	f.wantProblem(f.do(admin, "POST", "/api/v1/groups", `{"name":"ops","members":["nobody"]}`), 404, "nobody")
	f.wantProblem(f.do(admin, "GET", "/api/v1/groups/ops", ""), 404, "does not exist")
}

func TestAServiceAccountLivesInItsProjectAndHasTokens(t *testing.T) {
	f := newFixture(t)
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo"}`), 201, nil)
	const path = "/api/v1/projects/demo/serviceaccounts"
	var made ServiceAccount
	f.want(f.do(admin, "POST", path, `{"name":"ci"}`), 201, &made)
	want := ServiceAccount{Name: "ci", Project: "demo", User: "system:serviceaccount:demo:ci", CreatedAt: f.now}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	var all ServiceAccountList
	f.want(f.do(admin, "GET", path, ""), 200, &all)
	if diff := cmp.Diff([]ServiceAccount{want}, all.Items); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	var token Token
	f.want(f.do(admin, "POST", path+"/ci/tokens", `{"expirationSeconds":600}`), 201, &token)
	if token.User != want.User || !token.ExpiresAt.Equal(f.now.Add(10*time.Minute)) {
		t.Errorf("token = %+v", token)
	}
	var who User
	f.want(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 200, &who)
	if diff := cmp.Diff([]string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:demo"}, who.Groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	mine := f.login()
	f.wantProblem(f.do(admin, "DELETE", path+"/ci/tokens/"+mine.ID, ""), 404)
	f.want(f.do(admin, "DELETE", path+"/ci/tokens/"+token.ID, ""), 204, nil)
	f.wantProblem(f.do(bearer(token.Token), "GET", "/api/v1/whoami", ""), 401)
	f.want(f.do(admin, "DELETE", path+"/ci", ""), 204, nil)
	f.wantProblem(f.do(admin, "POST", path+"/ci/tokens", `{}`), 404, "does not exist in project demo")
}

func TestWhoMayNotAdministerAccountsIsToldWhichRightIsMissing(t *testing.T) {
	f := newFixture(t)
	bob := f.bob()
	f.cacheProject("docker-hub")
	for _, o := range []struct{ method, path, body, right string }{
		{"GET", "/api/v1/users", "", "list users"},
		{"POST", "/api/v1/users", `{"name":"eve"}`, "create users"},
		{"GET", "/api/v1/users/admin", "", "get users"},
		{"PATCH", "/api/v1/users/bob", `{"disabled":false}`, "update users"},
		{"DELETE", "/api/v1/users/bob", "", "delete users"},
		{"GET", "/api/v1/groups", "", "list groups"},
		{"POST", "/api/v1/groups", `{"name":"devs"}`, "create groups"},
		{"GET", "/api/v1/groups/devs", "", "get groups"},
		{"DELETE", "/api/v1/groups/devs", "", "delete groups"},
		{"PUT", "/api/v1/groups/devs/members/bob", "", "update groups"},
		{"DELETE", "/api/v1/groups/devs/members/bob", "", "update groups"},
	} {
		f.wantProblem(f.do(bob, o.method, o.path, o.body), 403, "bob has no right to "+o.right)
	}
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo"}`), 201, nil)
	f.want(f.do(admin, "POST", "/api/v1/projects/demo/serviceaccounts", `{"name":"ci"}`), 201, nil)
	f.wantProblem(f.do(bob, "POST", "/api/v1/projects/demo/serviceaccounts/ci/tokens", `{}`), 404, "project")
}

func TestTooManyWrongPasswordsAreToldToWait(t *testing.T) {
	f := newFixture(t)
	for range 10 {
		f.wantProblem(f.do(by("admin", "wrong"), "GET", "/api/v1/whoami", ""), 401)
	}
	w := f.do(by("admin", "wrong"), "GET", "/api/v1/whoami", "")
	f.wantProblem(w, 429, "too many wrong passwords", "try again in 60 seconds")
	if got := w.Header().Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After = %q", got)
	}
	// From elsewhere the owner comes in.
	f.want(f.do(func(r *http.Request) { admin(r); r.RemoteAddr = "198.51.100.7:1" }, "GET", "/api/v1/whoami", ""), 200, nil)
}

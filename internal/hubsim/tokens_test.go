package hubsim

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const refusedPull = `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required",` +
	`"detail":[{"Type":"repository","Class":"","Name":"%s","Action":"pull"}]}]}`

func TestChallengesReadAsDockerHubs(t *testing.T) {
	clock := newFakeClock()
	hub := start(t, Options{Clock: clock.Now})
	hub.AddImage("library/nginx", "latest", Image{})
	hub.AddImage("acme/secret", "latest", Image{})
	hub.SetPrivate("acme/secret", true)
	b := newBrowser(t, hub)

	expired := b.bearer("", "repository:library/nginx:pull")
	clock.Advance(DefaultTokenLife)
	forPrivate := b.bearer("", "repository:acme/secret:pull")
	forMissing := b.bearer("", "repository:acme/nothing:pull")
	bearer := fmt.Sprintf(`Bearer realm="%s/token",service="registry.docker.io"`, hub.AuthURL())

	for _, test := range []struct {
		name, path, token, challenge, body string
	}{
		{
			"the base without a token", "/v2/", "", bearer,
			`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`,
		},
		{
			"a public manifest without a token", "/v2/library/nginx/manifests/latest", "",
			bearer + `,scope="repository:library/nginx:pull"`, fmt.Sprintf(refusedPull, "library/nginx"),
		},
		{
			"a blob without a token", "/v2/library/nginx/blobs/sha256:00", "",
			bearer + `,scope="repository:library/nginx:pull"`, fmt.Sprintf(refusedPull, "library/nginx"),
		},
		{
			"an expired token", "/v2/library/nginx/manifests/latest", expired,
			bearer + `,scope="repository:library/nginx:pull",error="invalid_token"`, fmt.Sprintf(refusedPull, "library/nginx"),
		},
		{
			"a forged token", "/v2/library/nginx/manifests/latest", forMissing + "x",
			bearer + `,scope="repository:library/nginx:pull",error="invalid_token"`, fmt.Sprintf(refusedPull, "library/nginx"),
		},
		{
			"a password where a token belongs", "/v2/library/nginx/manifests/latest", "Authorization: Basic YTpi",
			bearer + `,scope="repository:library/nginx:pull"`, fmt.Sprintf(refusedPull, "library/nginx"),
		},
		{
			"another repository's token", "/v2/library/nginx/manifests/latest", forMissing,
			bearer + `,scope="repository:library/nginx:pull",error="insufficient_scope"`, fmt.Sprintf(refusedPull, "library/nginx"),
		},
		{
			"a private repository", "/v2/acme/secret/manifests/latest", forPrivate,
			bearer + `,scope="repository:acme/secret:pull",error="insufficient_scope"`, fmt.Sprintf(refusedPull, "acme/secret"),
		},
		{
			"a missing repository", "/v2/acme/nothing/manifests/latest", forMissing,
			bearer + `,scope="repository:acme/nothing:pull",error="insufficient_scope"`, fmt.Sprintf(refusedPull, "acme/nothing"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			var headers []string
			if test.token != "" {
				headers = append(headers, test.token)
			}
			got := b.ask(http.MethodGet, hub.URL()+test.path, headers...)
			if got.status != http.StatusUnauthorized {
				t.Fatalf("status %d, want 401", got.status)
			}
			if diff := cmp.Diff(test.challenge, got.header.Get("WWW-Authenticate")); diff != "" {
				t.Errorf("challenge (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.body, got.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATokenIsGoodUntilItExpires(t *testing.T) {
	clock := newFakeClock()
	hub := start(t, Options{Clock: clock.Now, TokenLife: time.Minute})
	b := newBrowser(t, hub)
	token := b.bearer("")
	for _, step := range []struct {
		advance time.Duration
		status  int
	}{{0, 200}, {time.Minute - 1, 200}, {1, 401}} {
		clock.Advance(step.advance)
		if got := b.ask(http.MethodGet, hub.URL()+"/v2/", token); got.status != step.status {
			t.Errorf("status %d, want %d", got.status, step.status)
		}
	}
}

func TestAWrongPasswordIsRefusedByTheTokenService(t *testing.T) {
	hub := start(t, Options{Accounts: []Account{{Username: "acme", Password: "secret"}}})
	b := newBrowser(t, hub)
	for _, test := range []struct{ name, header string }{
		{"a wrong password", "Authorization: Basic YWNtZTp3cm9uZw=="},
		{"an unknown account", "Authorization: Basic bm9ib2R5OnNlY3JldA=="},
		{"something else than Basic", "Authorization: Bearer abc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			got := b.ask(http.MethodGet, hub.AuthURL()+"/token?service=registry.docker.io", test.header)
			want := answer{status: 401, body: `{"details":"incorrect username or password"}`}
			if got.status != want.status || got.body != want.body {
				t.Errorf("got %d %q, want %d %q", got.status, got.body, want.status, want.body)
			}
		})
	}
}

func TestOneTokenHoldsSeveralScopes(t *testing.T) {
	hub := start(t, Options{Accounts: []Account{{Username: "acme", Password: "secret", Repositories: []string{"acme/app"}}}})
	for _, repository := range []string{"library/nginx", "acme/app", "other/app"} {
		hub.AddImage(repository, "latest", Image{})
		hub.SetPrivate(repository, repository != "library/nginx")
	}
	b := newBrowser(t, hub)
	scopes := []string{"repository:library/nginx:pull repository:acme/app:push,pull", "repository:other/app:pull", "nonsense"}
	token := b.bearer("acme:secret", scopes...)
	for repository, want := range map[string]int{"library/nginx": 200, "acme/app": 200, "other/app": 401} {
		if got := b.ask(http.MethodHead, hub.URL()+"/v2/"+repository+"/manifests/latest", token); got.status != want {
			t.Errorf("%s: status %d, want %d", repository, got.status, want)
		}
	}
	anonymous := b.bearer("", scopes...)
	if got := b.ask(http.MethodHead, hub.URL()+"/v2/acme/app/manifests/latest", anonymous); got.status != 401 {
		t.Errorf("a stranger reads a private repository: status %d", got.status)
	}
}

func TestTheTokenServiceTellsLifeAndTime(t *testing.T) {
	clock := newFakeClock()
	hub := start(t, Options{Clock: clock.Now})
	got := newBrowser(t, hub).ask(http.MethodGet, hub.AuthURL()+"/token?service=registry.docker.io")
	var token tokenAnswer
	decode(t, got.body, &token)
	if token.Token == "" || token.Token != token.AccessToken {
		t.Errorf("token %q and access_token %q", token.Token, token.AccessToken)
	}
	if token.ExpiresIn != 300 || token.IssuedAt != clock.Now().UTC().Format(time.RFC3339Nano) {
		t.Errorf("expires_in %d, issued_at %q", token.ExpiresIn, token.IssuedAt)
	}
}

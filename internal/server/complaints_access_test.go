package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

// bob makes the user bob, who has no right yet, and returns what sends requests as him.
func (s *stack) bob() func(method, path string) answer {
	s.t.Helper()
	const password = "battery staple horse"
	s.push(http.MethodPost, "/api/v1/users", "application/json", []byte(`{"name":"bob","password":"`+password+`"}`))
	header := map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("bob:"+password))}
	return func(method, path string) answer { return s.send(request{method: method, path: path, header: header}) }
}

// grant gives a role to a user.
func (s *stack) grant(project, role, user string) {
	s.t.Helper()
	s.push(http.MethodPost, "/api/v1/projects/"+project+"/grants", "application/json", []byte(`{"role":"`+role+`","users":["`+user+`"]}`))
}

// knative/func#3885 (row 18): a push to a repository that does not exist makes it when the
// role allows that, and is told which right is missing otherwise; it is never a 500.
func TestRow18APushMakesItsRepositoryOrIsToldTheMissingRight(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.pushImage("demo/app", "latest")
	as := s.bob()
	s.grant("demo", "system:image-pusher", "bob")
	if got := as(http.MethodHead, "/v2/demo/new/manifests/"+digest.FromString("nothing").String()); got.status != 404 {
		t.Errorf("HEAD by digest on a repository that does not exist: %d", got.status)
	}
	if got := as(http.MethodPost, "/v2/demo/app/blobs/uploads/"); got.status != 202 {
		t.Errorf("a push to a repository that exists: %d %s", got.status, got.body)
	}
	got := as(http.MethodPost, "/v2/demo/new/blobs/uploads/")
	if got.status != 403 || !strings.Contains(string(got.body), "DENIED") || !strings.Contains(string(got.body), "create imagestreams in project demo") {
		t.Errorf("a push to a new one: %d %s", got.status, got.body)
	}
	s.grant("demo", "system:image-builder", "bob")
	if got := as(http.MethodPost, "/v2/demo/new/blobs/uploads/"); got.status != 202 {
		t.Errorf("with the right to make it: %d %s", got.status, got.body)
	}
}

// goharbor/harbor#4381, #9565, #10159 and #17616 (row 19): one image cannot be opened, nor
// an account be limited to one repository.
func TestRow19OneRepositoryIsOpenedAndItIsToldWhoPulls(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.pushImage("demo/open", "latest")
	s.pushImage("demo/closed", "latest")
	s.push(http.MethodPost, "/api/v1/projects/demo/roles", "application/json",
		[]byte(`{"name":"one","rules":[{"verbs":["get"],"resources":["imagestreams/layers"],"resourceNames":["open"]}]}`))
	s.push(http.MethodPost, "/api/v1/projects/demo/rolebindings", "application/json",
		[]byte(`{"name":"one","roleKind":"Role","role":"one","users":["system:anonymous"]}`))
	for path, want := range map[string]int{"/v2/demo/open/manifests/latest": 200, "/v2/demo/closed/manifests/latest": 401} {
		if got := s.get(path); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
	// An access token is limited to one repository, or to those that begin alike.
	for target, want := range map[string]map[string]int{
		"demo/open": {"demo/open": 202, "demo/closed": 404, "other/open": 404},
		"demo/cl*":  {"demo/open": 404, "demo/closed": 202, "other/closed": 404},
	} {
		made := s.send(request{method: http.MethodPost, path: "/api/v1/tokens", admin: true,
			body: `{"scopes":["write"],"targets":["` + target + `"]}`, header: map[string]string{"Content-Type": "application/json"}})
		var token struct{ Token string }
		if err := json.Unmarshal(made.body, &token); err != nil || made.status != 201 {
			t.Fatalf("a token for %s: %d %s", target, made.status, made.body)
		}
		for repository, status := range want {
			got := s.send(request{method: http.MethodPost, path: "/v2/" + repository + "/blobs/uploads/", header: map[string]string{"Authorization": "Bearer " + token.Token}})
			if refused := got.status == 403 || got.status == 404; got.status != status && (status == 202 || !refused) {
				t.Errorf("with a token for %s a push to %s: %d %s", target, repository, got.status, got.body)
			}
		}
	}
	who := s.send(request{path: "/api/v1/projects/demo/who-can?verb=get&resource=imagestreams/layers&name=open", admin: true})
	if who.status != 200 || !strings.Contains(string(who.body), `"system:anonymous"`) {
		t.Errorf("who can: %d %s", who.status, who.body)
	}
}

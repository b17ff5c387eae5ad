package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

// eventually fails unless something becomes true soon.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// hooks creates a webhook.
func (s *stack) hooks(project, name, url string, more ...string) answer {
	s.t.Helper()
	request := map[string]any{"name": name, "url": url, "secret": hookSecret}
	for _, pair := range more {
		key, value, _ := strings.Cut(pair, "=")
		request[key] = value
		if key == "events" {
			request[key] = strings.Split(value, ",")
		}
	}
	return s.asks(http.MethodPost, "/api/v1/projects/"+project+"/webhooks", request)
}

// asks sends a request of the API as the admin.
func (s *stack) asks(method, path string, body any) answer {
	s.t.Helper()
	r := request{method: method, path: path, admin: true}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		r.body = string(text)
	}
	got := s.send(r)
	if got.status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	if strings.Contains(string(got.body), hookSecret) {
		s.t.Errorf("%s %s tells the secret", method, path)
	}
	return got
}

const hooksAllowed = "publicURL: https://registry.example\nwebhooks: {allow: [127.0.0.0/8]}\n"

// newHookStack has a project demo, and lets deliveries go to receivers of tests.
func newHookStack(t *testing.T) *stack {
	t.Helper()
	s := newStack(t, hubsim.Options{}, hooksAllowed)
	s.asks(http.MethodPost, "/api/v1/projects", map[string]any{"name": "demo"})
	return s
}

func TestAPushIsToldInDockerHubsForm(t *testing.T) {
	s, r := newHookStack(t), newReceiver(t)
	s.pushImage("demo/web", "0")
	s.asks(http.MethodPatch, "/api/v1/projects/demo/repositories/web", map[string]any{"description": "what we show", "readme": "# Web"})
	s.hooks("demo", "ci", r.URL, "events=push")
	manifest := s.pushImage("demo/web", "1.0")
	r.hears(1)
	got := r.heard(0)
	if got.header.Get("X-Larder-Webhook") != "demo/ci" || got.event != "push" || got.header.Get("X-Larder-Delivery") == "" {
		t.Errorf("the headers are %v", got.header)
	}
	var payload map[string]map[string]any
	var text struct {
		CallbackURL *string `json:"callback_url"`
	}
	if err := json.Unmarshal([]byte(got.body), &text); err != nil || text.CallbackURL == nil {
		t.Errorf("callback_url: %v, %v", text.CallbackURL, err)
	}
	_ = json.Unmarshal([]byte(got.body), &payload) // callback_url is no object
	for _, at := range []struct{ of, field string }{{"push_data", "pushed_at"}, {"repository", "date_created"}} {
		seconds, _ := payload[at.of][at.field].(float64)
		if since := time.Since(time.Unix(int64(seconds), 0)); since < -time.Minute || since > time.Hour {
			t.Errorf("%s is %v", at.field, payload[at.of][at.field])
		}
		delete(payload[at.of], at.field)
	}
	delete(payload, "callback_url")
	want := map[string]map[string]any{
		"push_data": {"pusher": "admin", "tag": "1.0", "digest": manifest.String()},
		"repository": {
			"comment_count": 0.0, "description": "what we show", "dockerfile": "", "full_description": "# Web", "is_official": false,
			"is_private": true, "is_trusted": false, "name": "web", "namespace": "demo", "owner": "admin", "repo_name": "demo/web",
			"repo_url": "https://registry.example/v2/repositories/demo/web/", "star_count": 0.0, "status": "Active",
		},
	}
	if diff := cmp.Diff(want, payload); diff != "" {
		t.Errorf("the payload (-want +got):\n%s", diff)
	}
	s.asks(http.MethodGet, "/api/v1/projects/demo/webhooks/ci", nil)
	s.stop()
	for _, name := range []string{"metadata.db", "metadata.db-wal"} {
		if text, _ := os.ReadFile(filepath.Join(s.data, name)); strings.Contains(string(text), hookSecret) {
			t.Errorf("%s holds the secret", name)
		}
	}
	if strings.Contains(s.log.String(), hookSecret) {
		t.Error("the log holds the secret")
	}
}

func TestDeletionsAreToldToThoseWhoListenToTheRepository(t *testing.T) {
	s, r := newHookStack(t), newReceiver(t)
	s.hooks("demo", "web", r.URL, "repository=web")
	for _, repository := range []string{"demo/app", "demo/web"} {
		s.pushImage(repository, "1")
		s.asks(http.MethodDelete, "/api/v1/projects/demo/repositories/"+strings.TrimPrefix(repository, "demo/")+"/tags/1", nil)
		s.asks(http.MethodDelete, "/api/v1/projects/demo/repositories/"+strings.TrimPrefix(repository, "demo/"), nil)
	}
	want := []string{"push demo/web:1", "delete demo/web:1", "delete demo/web:"}
	if diff := cmp.Diff(want, r.hears(3)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestACacheTellsThatItsPullLimitIsNearAndThatAFillFailed(t *testing.T) {
	s := newStack(t, hubsim.Options{AnonymousLimit: 4}, hooksAllowed)
	r := newReceiver(t)
	s.hooks("docker-hub", "ops", r.URL)
	for i := range 2 {
		s.anew(fmt.Sprint("image", i), request{})
	}
	if got := r.hears(1); got[0] != "pull-limit :" || !strings.Contains(r.heard(0).body, "2 of 4 pulls are left to anonymous at upstream docker-hub, 50% or less") {
		t.Errorf("told was %s %s", got[0], r.heard(0).body)
	}
	s.hub.AddImage("library/other", "1", small(9))
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	for range 2 {
		s.get("/v2/docker-hub/library/other/manifests/1")
	}
	got := r.hears(2)
	if got[1] != "fill-failed docker-hub/library/other:1" {
		t.Errorf("told was %q", got)
	}
	if got := s.send(request{method: http.MethodPost, path: "/api/v1/projects/docker-hub/webhooks", admin: true, body: `{"name":"x","url":"https://ci.example","events":["push"]}`}); got.status != 400 {
		t.Errorf("a webhook for pushes to a cache: %d %s", got.status, got.body)
	}
}

func TestNothingIsDeliveredToLoopbackUnlessTheOperatorSaysSo(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	r := newReceiver(t)
	s.asks(http.MethodPost, "/api/v1/projects", map[string]any{"name": "demo"})
	if got := s.send(request{method: http.MethodPost, path: "/api/v1/projects/demo/webhooks", admin: true, body: `{"name":"ci","url":"` + r.URL + `"}`}); got.status != 400 || !strings.Contains(string(got.body), "is loopback") {
		t.Errorf("creating it: %d %s", got.status, got.body)
	}
	// It was allowed once, and is no longer.
	s.file = hooksAllowed
	s.reload()
	s.hooks("demo", "ci", r.URL)
	s.file = "webhooks: {allow: [0.0.0.0/0]}\n"
	s.reload()
	s.pushImage("demo/web", "1")
	eventually(t, "an attempt", func() bool { return len(s.deliveries("demo")) == 1 && s.deliveries("demo")[0].Attempts > 0 })
	if d := s.deliveries("demo")[0]; !strings.Contains(d.Message, "nothing is delivered to 127.0.0.1, which is loopback") || len(r.hears(0)) > 0 {
		t.Errorf("the delivery is %+v, and %d arrived", d, len(r.hears(0)))
	}
	s.file = hooksAllowed
	s.reload()
	s.asks(http.MethodPost, "/api/v1/projects/demo/webhooks/ci/resume", nil)
	r.hears(1)
}

// delivery is a delivery as the API tells it.
type delivery struct {
	ID       int64
	State    string
	Attempts int
	Status   int
	Message  string
}

func (s *stack) deliveries(project string) []delivery {
	s.t.Helper()
	var list struct{ Items []delivery }
	if err := json.Unmarshal(s.asks(http.MethodGet, "/api/v1/projects/"+project+"/deliveries", nil).body, &list); err != nil {
		s.t.Fatal(err)
	}
	return list.Items
}

func TestAReceiverThatIsDownHoldsBackNobodyElse(t *testing.T) {
	s, r := newHookStack(t), newReceiver(t)
	stuck := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(stuck) })
	for i := range 15 {
		s.hooks("demo", fmt.Sprint("slow", i), slow.URL)
	}
	s.hooks("demo", "ci", r.URL)
	var want []string
	for i := range 10 {
		s.pushImage("demo/web", fmt.Sprint(i))
		want = append(want, fmt.Sprintf("push demo/web:%d", i))
	}
	if diff := cmp.Diff(want, r.hears(10)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestADeadReceiverIsSetAsideAndTakenUpAgainWhenItIsResumed(t *testing.T) {
	t.Parallel()
	s, r := newHookStack(t), newReceiver(t)
	s.webhookPause = 0
	s.restart()
	dead := true
	var mu sync.Mutex
	r.refuse = func(heard) int {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return http.StatusBadGateway
		}
		return 0
	}
	s.hooks("demo", "ci", r.URL)
	for i := range 4 {
		s.pushImage("demo/web", fmt.Sprint(i))
	}
	eventually(t, "it to be set aside", func() bool {
		return strings.Contains(string(s.asks(http.MethodGet, "/api/v1/projects/demo/webhooks/ci", nil).body), `"state":"set aside"`)
	})
	states := func() (all []string) {
		for _, d := range s.deliveries("demo") {
			all = append(all, fmt.Sprint(d.State, " ", d.Attempts, " ", d.Status))
		}
		return all
	}
	got, want := states(), []string{"given up 12 502", "given up 12 502", "given up 12 502"}
	if diff := cmp.Diff(want, got[1:]); diff != "" || !strings.HasPrefix(got[0], "waiting ") {
		t.Errorf("the newest delivery is %s; the others (-want +got):\n%s", got[0], diff)
	}
	eventually(t, "an event", func() bool {
		got := string(s.asks(http.MethodGet, "/api/v1/events?project=demo", nil).body)
		return strings.Contains(got, "set-aside-webhook") && strings.Contains(got, "502 Bad Gateway")
	})
	s.pushImage("demo/web", "unheard")
	mu.Lock()
	dead = false
	mu.Unlock()
	s.asks(http.MethodPost, "/api/v1/projects/demo/webhooks/ci/resume", nil)
	if got := r.hears(1); got[0] != "push demo/web:3" {
		t.Errorf("told was %q", got)
	}
	// What was given up is delivered when somebody says so, under the same id.
	all := s.deliveries("demo")
	first := all[len(all)-1]
	s.asks(http.MethodPost, fmt.Sprintf("/api/v1/projects/demo/deliveries/%d/redeliver", first.ID), nil)
	if got := r.hears(2); got[1] != "push demo/web:0" || r.heard(1).header.Get("X-Larder-Delivery") != fmt.Sprint(first.ID) {
		t.Errorf("told was %q", got)
	}
}

func TestWebhooksAreAProjectsAdmins(t *testing.T) {
	s, r := newHookStack(t), newReceiver(t)
	s.hooks("demo", "ci", r.URL)
	s.asks(http.MethodPost, "/api/v1/projects", map[string]any{"name": "shop"})
	token := func(project, role string) string {
		s.asks(http.MethodPost, "/api/v1/projects/"+project+"/serviceaccounts", map[string]any{"name": role})
		s.asks(http.MethodPost, "/api/v1/projects/demo/grants", map[string]any{"role": role, "users": []string{"system:serviceaccount:" + project + ":" + role}})
		var made struct{ Token string }
		if err := json.Unmarshal(s.asks(http.MethodPost, "/api/v1/projects/"+project+"/serviceaccounts/"+role+"/tokens", map[string]any{}).body, &made); err != nil {
			t.Fatal(err)
		}
		return made.Token
	}
	paths := []struct{ method, path, body string }{
		{http.MethodGet, "/api/v1/projects/demo/webhooks", ""},
		{http.MethodGet, "/api/v1/projects/demo/webhooks/ci", ""},
		{http.MethodGet, "/api/v1/projects/demo/deliveries", ""},
		{http.MethodPost, "/api/v1/projects/demo/webhooks", `{"name":"mine","url":"` + r.URL + `"}`},
		{http.MethodPost, "/api/v1/projects/demo/webhooks/ci/resume", ""},
		{http.MethodPost, "/api/v1/projects/demo/deliveries/1/redeliver", ""},
		{http.MethodDelete, "/api/v1/projects/demo/webhooks/mine", ""},
	}
	statuses := func(token string) (all []int) {
		for _, p := range paths {
			all = append(all, s.send(request{method: p.method, path: p.path, body: p.body, token: token}).status)
		}
		return all
	}
	s.pushImage("demo/web", "1")
	for role, want := range map[string][]int{
		"admin": {200, 200, 200, 201, 200, 200, 204}, "registry-admin": {200, 200, 200, 201, 200, 200, 204},
		"edit": {403, 403, 403, 403, 403, 403, 403}, "view": {403, 403, 403, 403, 403, 403, 403},
	} {
		if diff := cmp.Diff(want, statuses(token("shop", role))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", role, diff)
		}
	}
	if got := s.send(request{path: "/api/v1/projects/demo/webhooks"}).status; got != 401 {
		t.Errorf("strangers get %d", got)
	}
}

func TestOfSeveralReplicasOneDeliversAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	replica := func() *stack {
		s := newStack(t, hubsim.Options{}, hooksAllowed)
		s.stop()
		s.env["LARDER_DATABASE"], s.env["LARDER_CREDENTIAL_KEY"] = database, strings.Repeat("k", 32)
		s.start()
		return s
	}
	one, two := replica(), replica()
	r := newReceiver(t)
	one.asks(http.MethodPost, "/api/v1/projects", map[string]any{"name": "demo"})
	one.hooks("demo", "ci", r.URL)
	var want []string
	push := func(s *stack) {
		tag := fmt.Sprint(len(want))
		s.pushImage("demo/web", tag)
		want = append(want, "push demo/web:"+tag)
	}
	for range 5 {
		push(one)
		push(two)
	}
	if diff := cmp.Diff(want, r.hears(10)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	one.stop()
	for range 3 {
		push(two)
	}
	if diff := cmp.Diff(want, r.hearsEach(13)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

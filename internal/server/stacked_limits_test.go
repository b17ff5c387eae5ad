package server_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	preview     = "/v2/ratelimitpreview/test/manifests/latest"
	dockersOwn  = "pullLimits: {anonymous: 100/6h, authenticated: 200/6h}\n"
	behindProxy = "trustedProxies: [127.0.0.1]\n"
)

// limitOf is what an answer tells of a limit: how many, how many are left, and whose.
func limitOf(a answer) [3]string {
	return [3]string{a.header.Get("RateLimit-Limit"), a.header.Get("RateLimit-Remaining"), a.header.Get("Docker-RateLimit-Source")}
}

// wantsLimit fails unless the answer has this status and tells this of a limit.
func (a answer) wantsLimit(t *testing.T, status int, want ...string) answer {
	t.Helper()
	told := limitOf(a)
	if a.status != status {
		t.Fatalf("got %d, want %d\n%s", a.status, status, a.body)
	}
	if diff := cmp.Diff(append(want, make([]string, 3-len(want))...), told[:]); diff != "" {
		t.Fatalf("what is told of the limit (-want +got):\n%s", diff)
	}
	return a
}

// message is the text of an answer's first error.
func (a answer) message(t *testing.T) string {
	t.Helper()
	var list struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(a.body, &list); err != nil || len(list.Errors) != 1 || list.Errors[0].Code != "TOOMANYREQUESTS" {
		t.Fatalf("the answer is %s", a.body)
	}
	return withoutIDs(list.Errors[0].Message)
}

// token asks for a token as Docker Hub's documentation does.
func (s *stack) token(admin bool, repository string) string {
	s.t.Helper()
	got := s.send(request{path: "/token?service=registry.docker.io&scope=repository:" + repository + ":pull", admin: admin})
	var answer struct{ Token string }
	if err := json.Unmarshal(got.body, &answer); err != nil || got.status != 200 || answer.Token == "" {
		s.t.Fatalf("%d %s", got.status, got.body)
	}
	return "Bearer " + answer.Token
}

// from is a GET that a trusted proxy forwards for an address.
func (s *stack) from(address, path string) answer {
	s.t.Helper()
	return s.send(request{path: path, header: map[string]string{"X-Forwarded-For": address}})
}

func TestWithoutLimitsNothingIsToldAndNothingRefused(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "pullLimits: {authenticated: 1/1h}\n")
	for range 5 {
		s.get(preview).wantsLimit(t, 200)
	}
	s.head(preview).wantsLimit(t, 200)
}

func TestPullsOfHostedAndOfCachedImagesCount(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	s.hub.AddImage("library/nginx", "latest", small(1))
	pushed := s.pushImage("demo/app", "1")
	s.get(nginx+"manifests/latest").wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	s.get(nginx+"manifests/latest").wantsLimit(t, 200, "100;w=21600", "98;w=21600", "127.0.0.1")
	s.send(request{path: "/v2/library/nginx/manifests/latest", mirror: true}).wantsLimit(t, 200, "100;w=21600", "97;w=21600", "127.0.0.1")
	s.send(request{path: "/v2/library/nginx/manifests/latest", mirror: true, admin: true}).wantsLimit(t, 200, "100;w=21600", "96;w=21600", "127.0.0.1")
	s.send(request{path: "/v2/demo/app/manifests/1", admin: true}).wantsLimit(t, 200, "200;w=21600", "199;w=21600", "admin")
	s.send(request{path: "/v2/demo/app/manifests/" + pushed.String(), admin: true}).wantsLimit(t, 200, "200;w=21600", "198;w=21600", "admin")
}

func TestWhatIsNoPullDoesNotCount(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx+"manifests/latest").wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	layer := image.Manifests[0].Layers[0].Digest.String()
	for _, r := range []struct {
		name   string
		ask    request
		status int
	}{
		{"a HEAD", request{method: http.MethodHead, path: nginx + "manifests/latest"}, 200},
		{"a layer", request{path: nginx + "blobs/" + layer}, 200},
		{"a list of tags", request{path: nginx + "tags/list"}, 200},
		{"what is not there", request{path: nginx + "manifests/none"}, 404},
		{"what the caller may not see", request{path: "/v2/demo/app/manifests/latest"}, 401},
		{"what the caller has already", request{path: nginx + "manifests/latest", header: map[string]string{"If-None-Match": `"` + image.Digest.String() + `"`}}, 304},
		{"a range of nothing", request{path: nginx + "manifests/latest", header: map[string]string{"Range": "bytes=999999-"}}, 416},
	} {
		if got := s.send(r.ask); got.status != r.status {
			t.Errorf("%s is answered %d, want %d", r.name, got.status, r.status)
		}
	}
	s.head(preview).wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	// A condition that does not hold is a pull.
	s.send(request{path: nginx + "manifests/latest", header: map[string]string{"If-None-Match": `"sha256:0"`}}).wantsLimit(t, 200, "100;w=21600", "98;w=21600", "127.0.0.1")
}

// With a ninth header, net/http allocates so much more for all of them that this is most of
// what a limit costs.
func TestACountedAnswerFromTheCacheHasEightHeaders(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx + "manifests/latest")
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		got := s.send(request{method: method, path: nginx + "manifests/latest"}).
			wantsLimit(t, 200, "100;w=21600", "98;w=21600", "127.0.0.1")
		got.header.Del("Date") // which net/http adds to what is sent alone
		if len(got.header) != 8 {
			t.Errorf("%s is answered with %d headers: %v", method, len(got.header), got.header)
		}
	}
}

func TestAnImageForSeveralPlatformsIsOnePull(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{4096}, Platforms: bothPlatforms})
	amd64, arm64 := image.Manifests[0].Digest.String(), image.Manifests[1].Digest.String()
	s.get(nginx+"manifests/latest").wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	s.get(nginx+"manifests/"+amd64).wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	s.get(nginx+"manifests/"+arm64).wantsLimit(t, 200, "100;w=21600", "98;w=21600", "127.0.0.1")
}

func TestOverTheLimitPullsAreRefusedInWordsThatHelp(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "publicURL: https://registry.example.com\npullLimits: {anonymous: 2/6h, authenticated: 3/90s}\n")
	s.hub.AddImage("library/nginx", "latest", small(1))
	for range 2 {
		s.get(nginx + "manifests/latest")
		s.clock.Pass(10 * time.Minute)
	}
	refused := s.get(nginx+"manifests/latest").wantsLimit(t, 429, "2;w=21600", "0;w=21600", "127.0.0.1")
	const stranger = "You have reached your pull rate limit on registry.example.com, set by its operator: 2 pulls in 6h for the address 127.0.0.1. " +
		"Another pull is possible in 5h40m, or after docker login registry.example.com. See https://registry.example.com/limits" + explains
	if diff := cmp.Diff(stranger, refused.message(t)); diff != "" {
		t.Errorf("what a stranger is told (-want +got):\n%s", diff)
	}
	if !strings.Contains(withoutIDs(string(refused.body)), `"toomanyrequests: `+stranger) {
		t.Errorf("the line that people see is not in %s", refused.body)
	}
	if got := refused.header.Get("Retry-After"); got != "20400" {
		t.Errorf("Retry-After is %s, want 20400", got)
	}
	mirrored := s.send(request{path: "/v2/library/nginx/manifests/latest", mirror: true}).wantsLimit(t, 429, "2;w=21600", "0;w=21600", "127.0.0.1")
	if diff := cmp.Diff(strings.Replace(stranger, ", or after docker login registry.example.com", "", 1), mirrored.message(t)); diff != "" {
		t.Errorf("what the mirror says, where nobody can log in (-want +got):\n%s", diff)
	}
	s.head(nginx+"manifests/latest").wantsLimit(t, 200, "2;w=21600", "0;w=21600", "127.0.0.1")

	for range 3 {
		s.send(request{path: nginx + "manifests/latest", admin: true})
	}
	account := s.send(request{path: nginx + "manifests/latest", admin: true}).wantsLimit(t, 429, "3;w=90", "0;w=90", "admin")
	const admin = "You have reached your pull rate limit on registry.example.com, set by its operator: 3 pulls in 1m30s for the account admin. " +
		"Another pull is possible in 1m30s. See https://registry.example.com/limits" + explains
	if diff := cmp.Diff(admin, account.message(t)); diff != "" {
		t.Errorf("what an account is told (-want +got):\n%s", diff)
	}
}

func TestAfterTheTimeOfRetryAfterAPullWorks(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "pullLimits: {anonymous: 3/10s}\n")
	for range 3 {
		s.get(preview).wantsLimit(t, 200, "3;w=10", limitOf(s.head(preview))[1], "127.0.0.1")
		s.clock.Pass(1300 * time.Millisecond)
	}
	for range 5 {
		refused := s.get(preview)
		seconds, err := strconv.Atoi(refused.header.Get("Retry-After"))
		if refused.status != 429 || err != nil || seconds < 1 || seconds > 10 {
			t.Fatalf("got %d with Retry-After %q", refused.status, refused.header.Get("Retry-After"))
		}
		s.clock.Pass(time.Duration(seconds) * time.Second)
		if got := s.get(preview); got.status != 200 {
			t.Fatalf("after %d seconds: %d %s", seconds, got.status, got.body)
		}
		for s.get(preview).status == 200 { // what has come free beside it
		}
	}
}

func TestClientsThatRaceForTheLastPullsNeverGetMore(t *testing.T) {
	const clients, left = 64, 10
	s := newStack(t, hubsim.Options{}, "pullLimits: {anonymous: 100/6h}\n")
	s.hub.AddImage("library/nginx", "latest", small(1))
	for range 100 - left {
		if got := s.get(nginx + "manifests/latest"); got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	var pulled, refused atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range clients {
		all.Go(func() {
			<-begin
			for range 3 {
				switch got, err := s.try(t.Context(), request{path: nginx + "manifests/latest"}); {
				case err != nil:
					t.Error(err)
				case got.status == 200:
					pulled.Add(1)
				case got.status == 429:
					refused.Add(1)
				default:
					t.Errorf("got %d %s", got.status, got.body)
				}
			}
		})
	}
	close(begin)
	all.Wait()
	if pulled.Load() != left || refused.Load() != 3*clients-left {
		t.Errorf("%d were pulled and %d refused, want %d pulled", pulled.Load(), refused.Load(), left)
	}
}

func TestStrangersAreCountedByTheAddressThatATrustedProxyTells(t *testing.T) {
	s := newStack(t, hubsim.Options{}, behindProxy+"pullLimits: {anonymous: 3/6h}\n")
	for _, address := range []string{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3"} {
		if got := limitOf(s.from(address, preview)); got[2] != "2001:db8:0:1::" {
			t.Errorf("%s is counted as %s", address, got[2])
		}
	}
	s.from("2001:db8:0:1::4", preview).wantsLimit(t, 429, "3;w=21600", "0;w=21600", "2001:db8:0:1::")
	s.from("2001:db8:0:2::1", preview).wantsLimit(t, 200, "3;w=21600", "2;w=21600", "2001:db8:0:2::")
	s.from("192.0.2.1", preview).wantsLimit(t, 200, "3;w=21600", "2;w=21600", "192.0.2.1")
	s.from("::ffff:192.0.2.1", preview).wantsLimit(t, 200, "3;w=21600", "1;w=21600", "192.0.2.1")

	// Nobody else is believed.
	untrusting := newStack(t, hubsim.Options{}, "pullLimits: {anonymous: 3/6h}\n")
	untrusting.from("192.0.2.1", preview).wantsLimit(t, 200, "3;w=21600", "2;w=21600", "127.0.0.1")
	untrusting.from("192.0.2.2", preview).wantsLimit(t, 200, "3;w=21600", "1;w=21600", "127.0.0.1")
}

func TestWhatWasPulledCountsAfterARestart(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{4096}, Platforms: bothPlatforms})
	for range 24 {
		s.get(preview)
	}
	s.send(request{path: preview, admin: true})
	s.get(nginx + "manifests/latest")
	s.clock.Pass(time.Minute)
	s.restart()
	s.head(preview).wantsLimit(t, 200, "100;w=21600", "75;w=21600", "127.0.0.1")
	s.send(request{method: http.MethodHead, path: preview, admin: true}).wantsLimit(t, 200, "200;w=21600", "199;w=21600", "admin")
	s.get(nginx+"manifests/"+image.Manifests[0].Digest.String()).wantsLimit(t, 200, "100;w=21600", "75;w=21600", "127.0.0.1")
	s.clock.Pass(6 * time.Hour)
	s.head(preview).wantsLimit(t, 200, "100;w=21600", "100;w=21600", "127.0.0.1")
}

func TestExceptionsAndAReload(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "pullLimits: {anonymous: 5/6h, authenticated: 10/6h}\n")
	s.pushImage("open/app", "1")
	open := request{path: "/v2/open/app/manifests/1", admin: true}
	s.send(open).wantsLimit(t, 200, "10;w=21600", "9;w=21600", "admin")

	s.file = "pullLimits: {anonymous: 2/6h, authenticated: 10/6h, exceptions: [{project: open, limit: unlimited}, {group: system:masters, limit: 1000/6h}]}\n"
	s.reload()
	for range 20 {
		s.send(open).wantsLimit(t, 200)
	}
	s.send(request{path: preview, admin: true}).wantsLimit(t, 200, "1000;w=21600", "998;w=21600", "admin")
	s.get(preview).wantsLimit(t, 200, "2;w=21600", "1;w=21600", "127.0.0.1")

	s.file = "pullLimits: {anonymous: 1/6h}\n"
	s.reload()
	s.get(preview).wantsLimit(t, 429, "1;w=21600", "0;w=21600", "127.0.0.1")
	s.file = ""
	s.reload()
	s.get(preview).wantsLimit(t, 200)
}

func TestARefusalIsInTheAuditLogOnceAnHour(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "pullLimits: {anonymous: 1/24h}\n")
	s.hub.AddImage("library/nginx", "latest", small(1))
	entries := func() (found []string) {
		var list struct {
			Items []struct{ Actor, Address, Action, Project, Object, Result, Detail string }
		}
		got := s.send(request{path: "/api/v1/events", admin: true})
		if err := json.Unmarshal(got.body, &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.Action == "pull" {
				found = append(found, strings.Join([]string{e.Actor, e.Address, e.Project, e.Object, e.Result, e.Detail}, "|"))
			}
		}
		return found
	}
	for range 5 {
		s.get(nginx + "manifests/latest")
	}
	want := []string{"|127.0.0.1|docker-hub|docker-hub/library/nginx:latest|refused|the pull limit of 127.0.0.1, 1/24h, is reached for 24h0m0s"}
	if diff := cmp.Diff(want, entries()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	s.clock.Pass(time.Hour)
	for range 5 {
		s.get(nginx + "manifests/latest")
	}
	if got := entries(); len(got) != 2 {
		t.Errorf("after an hour there are %d entries: %v", len(got), got)
	}
}

func TestTheLimitOfAnUpstreamIsToldApart(t *testing.T) {
	s := newStack(t, hubsim.Options{AnonymousLimit: 1}, "publicURL: https://registry.example.com\n"+dockersOwn)
	s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/httpd", "latest", small(2))
	s.get(nginx+"manifests/latest").wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	refused := s.get("/v2/docker-hub/library/httpd/manifests/latest")
	if refused.status != 429 || refused.header.Get("Retry-After") == "" {
		t.Fatalf("got %d, Retry-After %q", refused.status, refused.header.Get("Retry-After"))
	}
	const want = "You have reached your pull rate limit, Docker Hub's, upstream of project docker-hub: library/httpd (latest) is not in the cache. " +
		"Try again later, or have the operator of this registry add credentials for the upstream. See https://registry.example.com/limits" + explains
	if diff := cmp.Diff(want, refused.message(t)); diff != "" {
		t.Errorf("what is told (-want +got):\n%s", diff)
	}
	// It was not served, so it was no pull, and what is held is served all the same.
	s.get(nginx+"manifests/latest").wantsLimit(t, 200, "100;w=21600", "98;w=21600", "127.0.0.1")
}

func TestThePageOfLimitsHelpsWhoeverOpensIt(t *testing.T) {
	s := newStack(t, hubsim.Options{}, behindProxy+"publicURL: https://registry.example.com\n"+
		"pullLimits: {anonymous: 100/6h, overall: 3000/1m, exceptions: [{group: secret-team, limit: 7/6h}, {project: secret, limit: unlimited}]}\n")
	s.from("192.0.2.1", preview)
	for _, mirror := range []bool{false, true} {
		got := s.send(request{path: "/limits", mirror: mirror, header: map[string]string{"X-Forwarded-For": "192.0.2.1"}})
		for _, want := range []string{
			"LIMITS OF THIS REGISTRY, registry.example.com\n", "without a login, for each address (IPv6: /64)  100 pulls in 6h\n", "for each account                               no limit\n",
			"3000 requests in 1m\n", "There are exceptions", "Your address, 192.0.2.1, has 99 of 100 pulls left.\n",
			"curl \"https://registry.example.com/token?service=registry.docker.io&scope=repository:ratelimitpreview/test:pull\"",
		} {
			if got.status != 200 || !strings.Contains(string(got.body), want) {
				t.Errorf("mirror %v: %d, %q is not in\n%s", mirror, got.status, want, got.body)
			}
		}
		if strings.Contains(string(got.body), "secret") {
			t.Errorf("it names groups or projects:\n%s", got.body)
		}
	}
	if got := newStack(t, hubsim.Options{}, "").get("/limits"); got.status != 200 || !strings.Contains(string(got.body), "Its operator has set no limits.") {
		t.Errorf("without limits: %d\n%s", got.status, got.body)
	}
}

func TestServersOnOneDatabaseCountTogether(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	one, other := newStack(t, hubsim.Options{}, dockersOwn), newStack(t, hubsim.Options{}, dockersOwn)
	for _, s := range []*stack{one, other} {
		s.stop()
		s.env["LARDER_DATABASE"], s.data = database, t.TempDir()
		s.start()
	}
	for range 20 {
		one.get(preview)
	}
	for range 4 {
		other.get(preview)
	}
	for name, s := range map[string]*stack{"one": one, "the other": other} {
		s.eventually(name+" knows of all pulls", func() bool { return limitOf(s.head(preview))[1] == "76;w=21600" })
	}
}

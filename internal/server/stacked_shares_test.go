package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
)

// sharing is a stack whose anonymous pulls are shared out by settings of the upstream, with
// service accounts of the projects prod and demo.
func sharing(t *testing.T, limit int, settings string) (s *stack, prod, demo string) {
	t.Helper()
	s = newStack(t, hubsim.Options{AnonymousLimit: limit, TokensOnRegistry: true}, "upstreams:\n- name: docker-hub\n  "+settings+"\n")
	return s, s.member("prod"), s.member("demo")
}

// cold asks for an image that nobody has asked for yet.
func (s *stack) cold(name string, r request) answer {
	s.t.Helper()
	s.hub.AddImage("library/"+name, "1", small(uint64(len(name))*1000+uint64(name[len(name)-1])))
	r.path = "/v2/docker-hub/library/" + name + "/manifests/1"
	return s.send(r)
}

// upstream is what the API tells of the one upstream.
func (s *stack) upstream() api.Upstream {
	s.t.Helper()
	var list api.UpstreamList
	s.read("/api/v1/upstreams", &list)
	if len(list.Items) != 1 {
		s.t.Fatalf("there are %d upstreams", len(list.Items))
	}
	return list.Items[0]
}

func TestTheLastPullsStayReservedForWhomTheyAreReserved(t *testing.T) {
	s, prod, demo := sharing(t, 10, "reserve: [{project: prod, share: 30%}]")
	for i := range 7 {
		if got := s.cold(fmt.Sprint("open", i), request{}); got.status != 200 {
			t.Fatalf("pull %d of what is open to all got %d: %s", i, got.status, got.body)
		}
	}
	at := s.clock.Now().Add(6 * time.Hour).UTC().Format("15:04")
	s.clock.Pass(2 * time.Second) // what is left is asked for again
	got := s.cold("refused0", request{token: demo})
	for _, want := range []string{`"TOOMANYREQUESTS"`, "You have reached your pull rate limit", "3 of 10 pulls are left", "set them aside for project prod", at, "/limits"} {
		if !strings.Contains(string(got.body), want) {
			t.Errorf("the refusal does not say %q: %s", want, got.body)
		}
	}
	if got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("a pull of low priority got %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	got = s.cold("refused1", request{})
	if got.status != 429 || strings.Contains(string(got.body), "prod") {
		t.Errorf("a stranger got %d, and is told names of projects: %s", got.status, got.body)
	}
	s.cold("open0", request{}).wants(t, 200, "larder; hit")
	for i := range 3 {
		s.cold(fmt.Sprint("prod", i), request{token: prod}).wants(t, 200, "larder; fwd=miss; stored")
	}
	if left := s.hub.Remaining(""); left != 0 {
		t.Errorf("%d pulls are left", left)
	}
	if got := s.cold("spent", request{token: prod}); got.status != 429 {
		t.Errorf("when all is spent the Hub itself refuses, and the project got %d", got.status)
	}
	a := s.upstream().Accounts[0]
	if len(a.Reserves) != 1 || a.Reserves[0] != (api.PullReserve{Project: "prod", Reserved: 3, Spent: 3}) {
		t.Errorf("the API tells %+v", a.Reserves)
	}
	s.clock.Pass(6*time.Hour + time.Minute)
	s.cold("again", request{}).wants(t, 200, "larder; fwd=miss; stored")
}

func TestWhoRacesForTheLastPullsNeverTakesThoseOfOthers(t *testing.T) {
	s, prod, _ := sharing(t, 60, "reserve: [{project: prod, share: 50%}]")
	s.cold("first", request{}).wants(t, 200, "larder; fwd=miss; stored")
	const racers = 64
	for i := range racers {
		s.hub.AddImage(fmt.Sprint("library/race", i), "1", small(uint64(100+i)))
	}
	s.hub.ResetRequests()
	var given, refused atomic.Int64
	var work sync.WaitGroup
	for i := range racers {
		work.Go(func() {
			got, err := s.try(t.Context(), request{path: fmt.Sprintf("/v2/docker-hub/library/race%d/manifests/1", i)})
			switch {
			case err != nil:
				t.Error(err)
			case got.status == 200:
				given.Add(1)
			case got.status == 429:
				refused.Add(1)
			default:
				t.Errorf("racer %d got %d: %s", i, got.status, got.body)
			}
		})
	}
	work.Wait()
	if given.Load() != 29 || refused.Load() != racers-29 || s.hub.Remaining("") != 30 {
		t.Errorf("%d got an image and %d none, and the Hub has %d pulls left, want 29, 35 and 30", given.Load(), refused.Load(), s.hub.Remaining(""))
	}
	counted := s.hub.Counters()
	if counted.ManifestGETs != 29 || counted.ManifestHEADs != 0 {
		t.Errorf("the Hub saw %d GETs and %d HEADs of manifests, want the 29 that were given and none", counted.ManifestGETs, counted.ManifestHEADs)
	}
	for i := range 30 {
		if got := s.cold(fmt.Sprint("prod", i), request{token: prod}); got.status != 200 {
			t.Fatalf("pull %d of the reserve got %d: %s", i, got.status, got.body)
		}
	}
	if s.hub.Remaining("") != 0 {
		t.Errorf("%d pulls are left", s.hub.Remaining(""))
	}
}

func TestAReserveHoldsAcrossARestart(t *testing.T) {
	s, prod, demo := sharing(t, 10, "reserve: [{project: prod, share: 30%}, {project: demo, share: 20%}]")
	for i := range 5 {
		s.cold(fmt.Sprint("open", i), request{}).wants(t, 200, "larder; fwd=miss; stored")
	}
	s.cold("demo0", request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
	s.restart()
	s.hub.ResetRequests()
	if got := s.cold("refused0", request{}); got.status != 429 {
		t.Errorf("after the restart a stranger got %d", got.status)
	}
	s.hubSaw(nil, "GET /v2/ 401", "GET auth/token repository:library/refused0:pull 200", "HEAD /v2/library/refused0/manifests/1 200")
	s.cold("demo1", request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
	if got := s.cold("demo2", request{token: demo}); got.status != 429 || !strings.Contains(string(got.body), "project prod") {
		t.Errorf("beyond its reserve demo got %d: %s", got.status, got.body)
	}
	for i := range 3 {
		s.cold(fmt.Sprint("prod", i), request{token: prod}).wants(t, 200, "larder; fwd=miss; stored")
	}
}

func TestABudgetBoundsTheColdPullsOfAProject(t *testing.T) {
	s, prod, demo := sharing(t, 100, "budgets: [{project: demo, limit: 2/1h}]")
	s.cold("one", request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
	s.cold("two", request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
	s.restart()
	got := s.cold("three", request{token: demo})
	for _, want := range []string{`"TOOMANYREQUESTS"`, "the budget that this registry's operator has set for project demo: 2 pulls of Docker Hub in 1h"} {
		if got.status != 429 || !strings.Contains(string(got.body), want) {
			t.Errorf("over its budget demo got %d, without %q: %s", got.status, want, got.body)
		}
	}
	s.cold("one", request{token: demo}).wants(t, 200, "larder; hit")
	s.cold("three", request{token: prod}).wants(t, 200, "larder; fwd=miss; stored")
	s.cold("three", request{token: demo}).wants(t, 200, "larder; hit")
	if b := s.upstream().Budgets; len(b) != 1 || b[0] != (api.ProjectBudget{Project: "demo", Limit: 2, WindowSeconds: 3600, Spent: 2}) {
		t.Errorf("the API tells %+v", b)
	}
	s.clock.Pass(time.Hour + time.Second)
	s.cold("four", request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
	if s.hub.Counters().PullsCounted != 4 {
		t.Errorf("the Hub counted %d pulls", s.hub.Counters().PullsCounted)
	}
}

func TestWhatMovedIsServedStaleToOthersAndRefreshedForWhomThePullsAreReserved(t *testing.T) {
	s, prod, _ := sharing(t, 4, "reserve: [{project: prod, share: 50%}]")
	old := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx+"manifests/latest").is(t, old.Digest)
	s.cold("other", request{}).wants(t, 200, "larder; fwd=miss; stored")
	moved := s.hub.AddImage("library/nginx", "latest", small(2))
	s.clock.Pass(2 * time.Minute)
	got := s.get(nginx+"manifests/latest").is(t, old.Digest)
	if !strings.Contains(got.cache(), "stale") || !strings.Contains(got.header.Get("Warning"), "set aside for others") {
		t.Errorf("the old image came with %q and %q", got.cache(), got.header.Get("Warning"))
	}
	s.send(request{path: nginx + "manifests/latest", token: prod}).is(t, moved.Digest)
	s.get(nginx+"manifests/latest").is(t, moved.Digest)
}

func TestARefusalByAReserveIsNotThatOfWhoJoins(t *testing.T) {
	s, prod, _ := sharing(t, 4, "reserve: [{project: prod, share: 50%}]")
	s.cold("one", request{})
	s.cold("two", request{})
	for round := range 10 {
		if round == 2 {
			s.clock.Pass(7 * time.Hour)
			s.cold("three", request{})
			s.cold("four", request{})
		}
		if round == 4 {
			break
		}
		name := fmt.Sprint("joined", round)
		s.hub.AddImage("library/"+name, "1", small(uint64(50+round)))
		var work sync.WaitGroup
		for i := range 16 {
			work.Go(func() {
				r := request{path: "/v2/docker-hub/library/" + name + "/manifests/1"}
				if i%2 == 0 {
					r.token = prod
				}
				got, err := s.try(t.Context(), r)
				if err != nil || i%2 == 0 && got.status != http.StatusOK {
					t.Errorf("round %d: %d, %v: %s", round, got.status, err, got.body)
				}
			})
		}
		work.Wait()
	}
	if pulls := s.hub.Counters().PullsCounted; pulls != 8 {
		t.Errorf("the Hub counted %d pulls, want one for each image", pulls)
	}
}

func TestWhoWarmsDrawsOnTheReserveThatPullsWould(t *testing.T) {
	s, prod, demo := sharing(t, 4, "reserve: [{project: prod, share: 50%}]")
	s.cold("one", request{}).wants(t, 200, "larder; fwd=miss; stored")
	s.cold("two", request{}).wants(t, 200, "larder; fwd=miss; stored")
	s.hub.AddImage("library/three", "1", small(3))
	warms := func(token, want string) {
		t.Helper()
		if got := s.send(request{method: http.MethodPost, path: "/api/v1/warm", token: token, body: `{"image":"docker-hub/three:1"}`}); !strings.Contains(string(got.body), want) {
			t.Errorf("warming got %d %s, want %q", got.status, got.body, want)
		}
	}
	warms(demo, "set them aside for project prod")
	warms(prod, `"pulls":1`)
	warms(demo, `"pulls":0`)
	if a := s.upstream().Accounts[0]; len(a.Reserves) != 1 || a.Reserves[0].Spent != 1 {
		t.Errorf("the API tells %+v", a.Reserves)
	}
}

func TestServersOnOneDatabaseKeepToReservesAndBudgetsTogether(t *testing.T) {
	t.Parallel()
	const settings = "upstreams:\n- name: docker-hub\n  reserve: [{project: prod, share: 30%}]\n  budgets: [{project: demo, limit: 4/6h}]\n"
	options := hubsim.Options{AnonymousLimit: 10, TokensOnRegistry: true}
	database := newDatabase(t)
	one, other := newStack(t, options, settings), newStack(t, options, settings)
	other.hub, other.args = one.hub, one.args // and so they have one address at the Hub
	other.clock = one.clock
	for _, s := range []*stack{one, other} {
		s.stop()
		s.env["LARDER_DATABASE"], s.data = database, t.TempDir()
		s.start()
	}
	prod, demo := one.member("prod"), one.member("demo")
	for i := range 2 {
		one.cold(fmt.Sprint("one", i), request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
		one.clock.Pass(2 * time.Second)
		other.cold(fmt.Sprint("other", i), request{token: demo}).wants(t, 200, "larder; fwd=miss; stored")
		one.clock.Pass(2 * time.Second)
	}
	spent := func(s *stack) int64 { return s.upstream().Budgets[0].Spent }
	one.eventually("one server knows what the other spent", func() bool { return spent(one) == 4 })
	other.eventually("and the other what the first one did", func() bool { return spent(other) == 4 })
	if got := other.cold("more", request{token: demo}); got.status != 429 {
		t.Errorf("over the budget of both, demo got %d", got.status)
	}
	for i := range 3 {
		one.cold(fmt.Sprint("open", i), request{}).wants(t, 200, "larder; fwd=miss; stored")
	}
	one.clock.Pass(2 * time.Second)
	for _, s := range []*stack{one, other} {
		if got := s.cold("refused", request{}); got.status != 429 {
			t.Errorf("a stranger got %d of what is reserved", got.status)
		}
	}
	other.cold("prod0", request{token: prod}).wants(t, 200, "larder; fwd=miss; stored")
	one.eventually("one server knows what is drawn at the other", func() bool { return one.upstream().Accounts[0].Reserves[0].Spent == 1 })
}

func TestAMembersImportsSpendTheBudgetOfTheProjectThatTheyAreFor(t *testing.T) {
	s, _, _ := sharing(t, 100, "budgets: [{project: demo, limit: 3/1h}]")
	alice, outsider := s.user("alice"), s.holder("carol")
	s.edits("alice", true)
	spent := func(when string, want int64) {
		t.Helper()
		if b := s.upstream().Budgets; len(b) != 1 || b[0].Spent != want {
			t.Errorf("%s the API tells %+v, want %d spent", when, b, want)
		}
	}
	image := s.hub.AddImage("library/one", "1", small(1))
	two := s.hub.AddImage("library/two", "1", small(2))
	going(t, "a stranger to the project", s.imports(request{token: outsider}, "demo", "docker.io/library/two:1", false), two, "")
	spent("after an import of somebody who is no member", 0)
	going(t, "a member", s.imports(request{token: alice}, "demo", "docker.io/library/one:1", true), image, "")
	spent("after a member's", 1)
	moved := s.hub.AddImage("library/one", "1", small(3))
	going(t, "followed", s.followed(), moved, "")
	spent("after it was followed", 2)
	going(t, "again", s.imports(request{token: alice}, "demo", "docker.io/library/two:1", false), two, "")
	s.hub.AddImage("library/three", "1", small(4))
	got := s.imports(request{token: alice}, "demo", "docker.io/library/three:1", false).Conditions
	if len(got) != 1 || got[0].Reason != "TooManyRequests" || !strings.Contains(got[0].Message, "project demo") {
		t.Errorf("over the budget the import is %+v", got)
	}
	spent("over the budget", 3)
}

package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
)

// refreshing is a stack that refreshes tags every six hours, with further settings of its
// upstream.
func refreshing(t *testing.T, limit int, settings ...string) *stack {
	t.Helper()
	file := "upstreams:\n- name: docker-hub\n  refresh: {every: 6h}\n"
	for _, setting := range settings {
		file += "  " + setting + "\n"
	}
	return newStack(t, hubsim.Options{AnonymousLimit: limit, TokensOnRegistry: true}, file)
}

// onlyPinned is refreshing for what is pinned alone.
func onlyPinned(t *testing.T, limit int, settings ...string) *stack {
	t.Helper()
	s := refreshing(t, limit, settings...)
	s.file = strings.Replace(s.file, "{every: 6h}", "{every: 6h, above: 50%, pulled: 1m}", 1)
	s.restart()
	return s
}

// turns tells how many turns have ended that asked for so many tags.
func (s *stack) turns(asked int) int {
	return strings.Count(s.log.String(), fmt.Sprintf(`msg="tags were refreshed" upstream=docker-hub asked=%d`+"\n", asked))
}

// asked waits until so many turns have ended that asked for so many tags.
func (s *stack) asked(tags, times int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("turn %d asks for %d tags", times, tags), func() bool { return s.turns(tags) >= times })
}

// idle waits until a turn has ended in which nothing was due.
func (s *stack) idle() {
	s.t.Helper()
	s.asked(0, s.turns(0)+2) // one may have been under way
}

// pin pins a tag of one of Docker Hub's own images.
func (s *stack) pin(name, tag string) {
	s.t.Helper()
	s.asks(http.MethodPut, "/api/v1/projects/docker-hub/repositories/"+name+"/pins/"+tag, nil)
}

func TestTagsThatArePulledAreRefreshedBeforeTheNextPullWhileTheBudgetIsRich(t *testing.T) {
	s := refreshing(t, 10)
	image := func(seed uint64) hubsim.Image {
		return hubsim.Image{Seed: seed, LayerSizes: []int64{60_000}, Platforms: bothPlatforms}
	}
	old, same := s.hub.AddImage("library/nginx", "latest", image(1)), s.hub.AddImage("library/same", "1", small(3))
	idle := s.hub.AddImage("library/idle", "1", small(4))
	s.get("/v2/docker-hub/library/idle/manifests/1").is(t, idle.Digest)
	s.clock.Pass(8 * 24 * time.Hour)
	s.get(nginx+"manifests/latest").is(t, old.Digest)
	s.get(nginx+"manifests/"+old.Manifests[0].Digest.String()).is(t, old.Manifests[0].Digest)
	s.get("/v2/docker-hub/library/same/manifests/1").is(t, same.Digest)
	s.restart() // and so it is written when they were pulled
	s.idle()
	s.hub.ResetRequests()
	moved := s.hub.AddImage("library/nginx", "latest", image(2))
	s.clock.Pass(6*time.Hour + time.Second)
	s.asked(2, 1)
	s.hubSaw(names(moved), hello, token, "HEAD "+hubNginx+"manifests/latest 200",
		"GET "+hubNginx+"manifests/INDEX 200", "GET "+hubNginx+"manifests/MANIFEST-A 200",
		"GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200", "GET "+hubNginx+"blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200",
		"GET auth/token repository:library/same:pull 200", "HEAD /v2/library/same/manifests/1 200")

	s.restart()
	s.idle()
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, moved.Digest)
	for _, d := range []string{"manifests/" + moved.Manifests[0].Digest.String(), "blobs/" + moved.Manifests[0].Layers[0].Digest.String(), "blobs/" + moved.Manifests[0].Config.Digest.String()} {
		s.get(nginx+d).wants(t, 200, "larder; hit")
	}
	s.hubSaw(nil)

	var spent api.LedgerPage
	s.read("/api/v1/upstreams/docker-hub/ledger?by=user&since="+s.clock.Now().Add(-time.Hour).UTC().Format(time.RFC3339), &spent)
	if len(spent.Sums) != 1 || spent.Sums[0].Key != "system:larder:refresh" || spent.Sums[0].Pulls != 2 {
		t.Errorf("the ledger tells %+v", spent.Sums)
	}
}

func TestPinnedTagsAreNotFetchedFromAPoorBudget(t *testing.T) {
	tests := map[string]struct {
		settings  string
		remaining int // when the tag falls due, of 10
	}{
		"no more than the share is left":       {"tagTTL: 1m", 5},
		"what is left is set aside for others": {"reserve: [{project: prod, share: 40%}]", 8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := onlyPinned(t, 10, test.settings)
			old := s.hub.AddImage("library/nginx", "latest", small(1))
			s.get(nginx+"manifests/latest").is(t, old.Digest)
			s.pin("nginx", "latest")
			s.clock.Pass(3 * time.Hour)
			for i := range 10 - test.remaining {
				s.cold(fmt.Sprint("other", i), request{}).wants(t, 200, "larder; fwd=miss; stored")
			}
			s.hub.ResetRequests()
			moved := s.hub.AddImage("library/nginx", "latest", small(2))
			s.clock.Pass(3*time.Hour + time.Second)
			s.eventually("nothing is refreshed", func() bool { return strings.Contains(s.log.String(), "while the upstream has few pulls left") })
			s.hubSaw(names(moved), token, "HEAD "+hubNginx+"manifests/latest 200")
			if left := s.hub.Remaining(""); left != test.remaining {
				t.Errorf("%d pulls are left, want %d", left, test.remaining)
			}
			// Whoever asks is not concerned.
			s.get(nginx+"manifests/latest").is(t, moved.Digest)
		})
	}
}

func TestARefreshThatHadToWaitIsMadeUpForOnceTheBudgetIsRich(t *testing.T) {
	s := onlyPinned(t, 10)
	old := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx+"manifests/latest").is(t, old.Digest)
	s.pin("nginx", "latest")
	s.clock.Pass(3 * time.Hour)
	for i := range 5 {
		s.cold(fmt.Sprint("other", i), request{}).wants(t, 200, "larder; fwd=miss; stored")
	}
	moved := s.hub.AddImage("library/nginx", "latest", small(2))
	s.clock.Pass(3*time.Hour + time.Second)
	s.eventually("nothing is refreshed", func() bool { return strings.Contains(s.log.String(), "while the upstream has few pulls left") })
	s.clock.Pass(3 * time.Hour)
	s.asked(1, 1)
	s.hub.ResetRequests()
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, moved.Digest)
	s.hubSaw(nil)
}

func TestTagsOfAnUpstreamWithoutALimitAreRefreshed(t *testing.T) {
	s := onlyPinned(t, hubsim.Unmetered)
	old := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get(nginx+"manifests/latest").is(t, old.Digest)
	s.pin("nginx", "latest")
	moved := s.hub.AddImage("library/nginx", "latest", small(2))
	s.hub.ResetRequests()
	s.clock.Pass(6*time.Hour + time.Second)
	s.asked(1, 1)
	s.hubSaw(names(moved), token, "HEAD "+hubNginx+"manifests/latest 200",
		"HEAD "+hubNginx+"manifests/MANIFEST-A 200", "GET "+hubNginx+"manifests/MANIFEST-A 200",
		"GET "+hubNginx+"blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200", "GET "+hubNginx+"blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200")
}

func TestAnUpstreamThatIsDownIsAskedLessAndLessOftenAndTheLogSaysSoOnce(t *testing.T) {
	s := onlyPinned(t, 10)
	for _, name := range []string{"one", "two"} {
		s.cold(name, request{}).wants(t, 200, "larder; fwd=miss; stored")
		s.pin(name, "1")
	}
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.Status500})
	s.clock.Pass(6*time.Hour + time.Second)
	const failed = `msg="tags could not be refreshed`
	for failures, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		s.eventually("failures are told", func() bool { return strings.Count(s.log.String(), failed) == failures+1 })
		s.clock.Pass(pause)
	}
	restore()
	s.clock.Pass(time.Hour)
	s.asked(2, 1)
	if log := s.log.String(); strings.Count(log, "level=WARN "+failed) != 1 || strings.Contains(log, "stale copy") {
		t.Errorf("the log says:\n%s", log)
	}
}

func TestATagThatIsGoneUpstreamKeepsNoOtherFromBeingRefreshed(t *testing.T) {
	s := onlyPinned(t, 10)
	for _, name := range []string{"alpha", "beta"} {
		s.cold(name, request{}).wants(t, 200, "larder; fwd=miss; stored")
		s.pin(name, "1")
	}
	s.hub.DeleteTag("library/alpha", "1")
	moved := s.hub.AddImage("library/beta", "1", small(77))
	s.hub.ResetRequests()
	s.clock.Pass(6*time.Hour + time.Second)
	s.asked(2, 1)
	s.idle()
	s.hubSaw(names(moved), "GET auth/token repository:library/alpha:pull 200", "HEAD /v2/library/alpha/manifests/1 404",
		"GET auth/token repository:library/beta:pull 200", "HEAD /v2/library/beta/manifests/1 200", "GET /v2/library/beta/manifests/MANIFEST-A 200",
		"GET /v2/library/beta/blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200", "GET /v2/library/beta/blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200")
	s.clock.Pass(6*time.Hour + time.Second)
	s.asked(2, 2)
}

func TestBlobsOfAMovedTagThatDidNotComeAreFetchedInALaterTurn(t *testing.T) {
	t.Parallel()
	s := onlyPinned(t, 10)
	for _, name := range []string{"alpha", "beta"} {
		s.cold(name, request{}).wants(t, 200, "larder; fwd=miss; stored")
		s.pin(name, "1")
	}
	moved := s.hub.AddImage("library/alpha", "1", small(79))
	s.hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.BlobPath, Bytes: 30_000, Times: 1})
	restore := s.hub.Break(hubsim.Fault{Kind: hubsim.Status503, Path: hubsim.CDNPath, Repository: "library/alpha", After: 1})
	s.clock.Pass(6*time.Hour + time.Second)
	const failed = `msg="tags could not be refreshed`
	s.eventually("a transfer is given up", func() bool { return strings.Count(s.log.String(), failed) == 1 })
	s.clock.Pass(time.Minute)
	s.eventually("and again, after the other tag was asked for", func() bool { return strings.Count(s.log.String(), failed) == 2 })
	restore()
	s.hub.ResetRequests()
	s.clock.Pass(2 * time.Minute)
	s.idle()
	s.hubSaw(names(moved), "GET /v2/library/alpha/blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200", "GET /v2/library/alpha/blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200")
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	s.pullAll("/v2/docker-hub/library/alpha/", "1", moved)
	s.hubSaw(nil)
}

// replicas are two that refresh what is pinned, on one database and one Hub; they are not
// running.
func replicas(t *testing.T) (one, other *stack, database string) {
	t.Helper()
	database = newDatabase(t)
	one, other = onlyPinned(t, 10), onlyPinned(t, 10)
	other.hub, other.args, other.clock = one.hub, one.args, one.clock
	for _, s := range []*stack{one, other} {
		s.stop()
		s.env["LARDER_DATABASE"], s.data = database, t.TempDir()
	}
	return one, other, database
}

func TestReplicasAskForEachTagOnceAndAnotherGoesOnWhenOneEnds(t *testing.T) {
	t.Parallel()
	one, other, _ := replicas(t)
	for _, s := range []*stack{one, other} {
		s.start()
		one.idle()
	}
	for _, name := range []string{"gone", "moves", "same"} {
		one.cold(name, request{}).wants(t, 200, "larder; fwd=miss; stored")
		one.pin(name, "1")
	}
	one.hub.DeleteTag("library/gone", "1")
	moved := one.hub.AddImage("library/moves", "1", small(77))
	asks := func(tag string, status int, then ...string) []string {
		return append([]string{"GET auth/token repository:library/" + tag + ":pull 200", fmt.Sprintf("HEAD /v2/library/%s/manifests/1 %d", tag, status)}, then...)
	}
	later := func(by *stack, times int, want ...[]string) {
		t.Helper()
		one.hub.ResetRequests()
		one.clock.Pass(6*time.Hour + time.Second)
		by.asked(3, times)
		for range 3 {
			by.idle()
		}
		one.hubSaw(names(moved), slices.Concat(want...)...)
	}
	later(one, 1, asks("gone", 404),
		asks("moves", 200, "GET /v2/library/moves/manifests/MANIFEST-A 200",
			"GET /v2/library/moves/blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200", "GET /v2/library/moves/blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200"),
		asks("same", 200))
	later(one, 2, asks("gone", 404), asks("moves", 200), asks("same", 200))
	one.stop()
	other.asked(1, 1) // which does not know what the Hub refused
	later(other, 1, asks("gone", 404), asks("moves", 200), asks("same", 200))
}

// A process that is killed gives nothing back: its lease stands until it is over. Then one of
// the others goes on, and not two.
func TestOneReplicaGoesOnRefreshingOnceTheLeaseOfAKilledOneIsOver(t *testing.T) {
	t.Parallel()
	one, other, database := replicas(t)
	one.start()
	tags := []string{"alpha", "beta"}
	for _, name := range tags {
		one.cold(name, request{}).wants(t, 200, "larder; fwd=miss; stored")
		one.pin(name, "1")
	}
	one.clock.Pass(6*time.Hour + time.Second)
	one.asked(2, 1)
	one.stop()
	db, err := metadata.OpenPostgres(t.Context(), database, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	killed := metadata.Lease{Name: "upkeep/refresh", Holder: "a process that was killed"}
	if err := db.Leases.Acquire(t.Context(), killed, time.Hour); err != nil {
		t.Fatal(err)
	}

	one.start()
	other.start()
	turns := func(asked int) int { return one.turns(asked) + other.turns(asked) }
	before := turns(2)
	one.hub.ResetRequests()
	one.clock.Pass(6*time.Hour + time.Second)
	time.Sleep(10 * refreshLook) // each of them looks for work again and again, in vain
	one.hubSaw(nil)

	if err := db.Leases.Acquire(t.Context(), killed, time.Microsecond); err != nil { // its minute is over
		t.Fatal(err)
	}
	one.eventually("one of them goes on", func() bool { return turns(2) > before })
	idle := turns(0)
	one.eventually("and finds nothing left to do", func() bool { return turns(0) >= idle+5 })
	want := []string{hello}
	for _, name := range tags {
		want = append(want, "GET auth/token repository:library/"+name+":pull 200", "HEAD /v2/library/"+name+"/manifests/1 200")
	}
	one.hubSaw(nil, want...)
	if now, err := db.Leases.Get(t.Context(), killed.Name); err != nil || now.Holder == killed.Holder {
		t.Errorf("the lease is held by %+v, %v", now, err)
	}

	// Whichever it was, turn after turn each tag is asked for once.
	one.clock.Pass(6*time.Hour + time.Second)
	one.eventually("the next turn", func() bool { return turns(2) > before+1 })
	idle = turns(0)
	one.eventually("and nothing after it", func() bool { return turns(0) >= idle+5 })
	one.hubSaw(nil, want[1:]...)
}

package server_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
)

// booked is what the data folder's ledger has of docker-hub, the oldest first; Larder must
// not be running.
func (s *stack) booked() []metadata.LedgerCall {
	s.t.Helper()
	db, err := metadata.Open(s.t.Context(), filepath.Join(s.data, "metadata.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := db.Ledger.Calls(s.t.Context(), metadata.LedgerQuery{Upstream: "docker-hub", Limit: 1_000_000})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// bookedLines are what is booked, each call as one line. Names of digests make them short.
func (s *stack) bookedLines(names map[string]string) []string {
	var lines []string
	for _, c := range s.booked() {
		user := c.User
		if !c.Certain {
			user = "a stranger"
		}
		line := fmt.Sprintf("%s %s %s %s %d by %s", c.Credential, c.Kind, c.Repository, c.Reference, c.Status, user)
		for digest, name := range names {
			line = strings.ReplaceAll(line, digest, name)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestWhatWasAskedOfTheHubIsBookedToWhoBeganIt(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	layer := image.Manifests[0].Layers[0].Digest.String()
	s.send(request{path: nginx + "manifests/latest", admin: true}).wants(t, 200, "larder; fwd=miss; stored")
	s.get(nginx+"manifests/latest").is(t, image.Digest) // a hit, and the question whether strangers may have it
	s.send(request{path: nginx + "blobs/" + layer}).wants(t, 200, "larder; fwd=miss; stored")
	s.clock.Pass(2 * time.Minute)
	s.send(request{path: nginx + "manifests/latest", admin: true}).is(t, image.Digest) // past the TTL
	s.stop()
	want := []string{
		"anonymous base   401 by admin",
		"acme token library/nginx  200 by admin",
		"acme manifest_get library/nginx latest 200 by admin",
		"anonymous token library/nginx  200 by a stranger",
		"anonymous manifest_head library/nginx latest 200 by a stranger",
		"acme blob library/nginx LAYER-A1 307 by a stranger",
		"acme redirect library/nginx LAYER-A1 200 by a stranger",
		"acme manifest_head library/nginx latest 200 by admin",
	}
	if diff := cmp.Diff(want, s.bookedLines(names(image))); diff != "" {
		t.Errorf("booked (-want +got):\n%s", diff)
	}
}

func TestWarmPullsBookNothing(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	left := s.hub.Remaining("")
	for range 250 {
		s.pullAll(nginx, "latest", image)
	}
	if now := s.hub.Remaining(""); now != left {
		t.Errorf("%d pulls are left, and there were %d", now, left)
	}
	s.stop()
	counted := 0
	for _, c := range s.booked() {
		if c.Counted {
			counted++
		}
	}
	if want := int(s.hub.Counters().PullsCounted); counted != want || want != 1 {
		t.Errorf("%d pulls are booked, and the Hub counted %d", counted, want)
	}
}

// events is the audit log, the newest first.
func (s *stack) events() []api.Event {
	s.t.Helper()
	var list api.EventList
	s.read("/api/v1/events?limit=1000", &list)
	return list.Items
}

// read asks the API as the admin.
func (s *stack) read(path string, to any) {
	s.t.Helper()
	got := s.send(request{path: path, admin: true})
	if err := json.Unmarshal(got.body, to); err != nil || got.status != 200 {
		s.t.Fatalf("%s was answered %d: %.300s (%v)", path, got.status, got.body, err)
	}
}

func TestALimitThatRunsLowIsAnEvent(t *testing.T) {
	s := newStackWith(t, hubsim.Options{AnonymousLimit: 10}, func(*hubsim.Hub) string {
		return "upstreams:\n- name: docker-hub\n  warnAt: [80%, 30%]\n"
	})
	warnings := func() (details []string) {
		for _, e := range s.events() {
			if e.Action == "warn-budget" {
				details = append(details, e.Actor+": "+e.Object+": "+e.Detail)
			}
		}
		return details
	}
	for i := range 9 {
		s.hub.AddImage("library/nginx", fmt.Sprint(i), small(uint64(i)))
		s.get(fmt.Sprintf("%smanifests/%d", nginx, i)).wants(t, 200, "larder; fwd=miss; stored")
		if i == 1 {
			s.eventually("80% is warned of", func() bool { return len(warnings()) == 1 })
		}
	}
	s.eventually("30% is warned of", func() bool { return len(warnings()) == 2 })
	want := "system:larder: upstreams/docker-hub: 8 of 10 pulls are left to anonymous at upstream docker-hub, 80% or less"
	if got := warnings()[1]; got != want {
		t.Errorf("the first warning was %q, want %q", got, want)
	}
	if got := strings.Count(s.log.String(), "an upstream's pull limit is running low"); got != 2 {
		t.Errorf("the log heard %d warnings", got)
	}
}

// webPod is of a Deployment.
const webPod = `{"metadata":{"labels":{"pod-template-hash":"77"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-77","uid":"1","controller":true}]},
	"spec":{"containers":[{"name":"c","image":"acme/app:1"}]}}`

func TestWhatAPodPullsIsBookedToItsNamespaceAsTheWebhookToldIt(t *testing.T) {
	s := newRewritingStack(t, hubsim.Options{})
	s.hub.AddImage("library/nginx", "latest", small(1))
	s.hub.AddImage("library/redis", "7", small(2))
	image := s.hub.AddImage("acme/app", "1", small(3))
	s.review("shop", webPod, "acme/app:1")
	s.pullAll("/v2/docker-hub/acme/app/", "1", image)
	s.get("/v2/docker-hub/library/redis/manifests/7").wants(t, 200, "larder; fwd=miss; stored") // no pod's
	s.clock.Pass(10 * time.Minute)
	s.hub.AddImage("acme/app", "1", small(4))
	s.get("/v2/docker-hub/acme/app/manifests/1") // nor is this, any more

	var page api.LedgerPage
	s.read("/api/v1/upstreams/docker-hub/ledger?by=namespace", &page)
	got := map[string][3]int64{}
	for _, sum := range page.Sums {
		got[sum.Key] = [3]int64{sum.Pulls, sum.Blobs, sum.CertainPulls}
	}
	want := map[string][3]int64{"shop": {1, 2, 0}, "": {2, 0, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pulls, blobs and what of them is certain, by namespace (-want +got):\n%s", diff)
	}
	for _, c := range s.calls() {
		if c.Repository == "acme/app" && c.Kind == "blob" && (c.Namespace != "shop" || c.Workload != "Deployment/web") {
			t.Errorf("a blob is booked to %q of %q", c.Workload, c.Namespace)
		}
	}
}

func TestWhatAPodPullsFromOneReplicaIsBookedToItsNamespaceAsTheWebhookOfAnotherToldIt(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	asked, pulled := newRewritingStack(t, hubsim.Options{}), newStack(t, hubsim.Options{}, "")
	for _, s := range []*stack{asked, pulled} {
		s.stop()
		s.env["LARDER_DATABASE"], s.data = database, t.TempDir()
		s.start()
	}
	pulled.eventually("the other replica hears of the pod", func() bool {
		asked.review("shop", webPod, "acme/app:1")
		return strings.Contains(string(pulled.send(request{path: "/metrics", admin: true}).body), `larder_ledger_hints_total{outcome="heard"}`)
	})
	pulled.pullAll("/v2/docker-hub/acme/app/", "1", pulled.hub.AddImage("acme/app", "1", small(3)))
	pulled.hub.AddImage("library/redis", "7", small(2))
	pulled.get("/v2/docker-hub/library/redis/manifests/7").wants(t, 200, "larder; fwd=miss; stored") // no pod's

	got := map[string]int{}
	for _, c := range pulled.calls() {
		if c.Repository != "" {
			got[c.Kind+" of "+c.Repository+" for "+c.Namespace+" "+c.Workload]++
		}
	}
	const shop = " for shop Deployment/web"
	want := map[string]int{
		"token of acme/app" + shop: 1, "manifest_get of acme/app" + shop: 1, "blob of acme/app" + shop: 2, "redirect of acme/app" + shop: 2,
		"token of library/redis for  ": 1, "manifest_get of library/redis for  ": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// calls are the single calls that the API tells of.
func (s *stack) calls() []api.LedgerCall {
	s.t.Helper()
	var page api.LedgerPage
	s.read("/api/v1/upstreams/docker-hub/ledger?limit=1000", &page)
	return page.Calls
}

package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
)

const (
	loadPhases   = 10
	loadClients  = 20
	loadRequests = 50 // of each client in each phase: 10,000 in all
	loadImages   = 60
)

// load is what many clients ask for, at random but the same each time.
type load struct {
	*stack
	images []hubsim.Pushed
}

// ask makes a request: manifests and blobs that are cached and that are not, checks, lists,
// and what does not exist; by strangers and by the admin.
func (l load) ask(ctx context.Context, dice *rand.Rand) error {
	at := dice.IntN(len(l.images))
	image := l.images[at]
	m := image.Manifests[dice.IntN(len(image.Manifests))]
	base := fmt.Sprintf("/v2/docker-hub/acme/image%d/", at)
	r := request{method: http.MethodGet, path: base + "manifests/1", admin: dice.IntN(2) == 0}
	switch dice.IntN(10) {
	case 0, 1, 2:
	case 3:
		r.method = http.MethodHead
	case 4:
		r.path = base + "manifests/" + m.Digest.String()
	case 5, 6:
		r.path = base + "blobs/" + m.Layers[0].Digest.String()
	case 7:
		r.method, r.path = http.MethodHead, base+"blobs/"+m.Config.Digest.String()
	case 8:
		r.path = base + "tags/list"
	case 9:
		r.path = fmt.Sprintf("%smanifests/none%d", base, dice.IntN(100))
	}
	_, err := l.try(ctx, r)
	return err
}

// phase lets all clients ask at once.
func (l load) phase(number uint64) {
	l.t.Helper()
	var asking sync.WaitGroup
	for client := range uint64(loadClients) {
		asking.Go(func() {
			dice := rand.New(rand.NewPCG(number, client))
			for range loadRequests {
				if err := l.ask(l.t.Context(), dice); err != nil {
					l.t.Error(err)
				}
			}
		})
	}
	asking.Wait()
}

// faultsOf says what goes wrong at the Hub in a phase.
func faultsOf(phase int) []hubsim.Fault {
	switch phase {
	case 2:
		return []hubsim.Fault{{Kind: hubsim.Status503, Path: hubsim.ManifestPath, Times: 40}}
	case 3:
		return []hubsim.Fault{{Kind: hubsim.PullLimit429, Method: http.MethodGet, Path: hubsim.ManifestPath, Times: 3}}
	case 4:
		return []hubsim.Fault{{Kind: hubsim.Down, Path: hubsim.ManifestPath, Times: 30}, {Kind: hubsim.Down, Path: hubsim.TokenPath, Times: 3}}
	case 5:
		return []hubsim.Fault{{Kind: hubsim.Unauthorized401, Path: hubsim.ManifestPath, Times: 20}}
	case 6:
		return []hubsim.Fault{{Kind: hubsim.Status500, Service: hubsim.CDN, Times: 10}, {Kind: hubsim.ShortBody, Path: hubsim.BlobPath, Bytes: 100, Times: 5}}
	case 7:
		return []hubsim.Fault{{Kind: hubsim.AbuseLimit429, Path: hubsim.ManifestPath, Times: 1}}
	}
	return nil
}

// sums are what an account asked for, or all of them.
type sums struct {
	Manifests, Checks, Blobs, Tokens, Pulls int64
}

func ofHub(t hubsim.Tally) sums {
	return sums{t.ManifestGETs, t.ManifestHEADs, t.BlobGETs, t.TokenGETs, t.PullsCounted}
}

func TestTheLedgersSumsAreTheHubsOwn(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true, AnonymousLimit: 100_000, AccountLimit: 100_000}, withCredential(t, "acme", "acme-secret"))
	l := load{stack: s}
	for i := range loadImages {
		image := hubsim.Image{Seed: uint64(i), LayerSizes: []int64{20_000}}
		if i%2 == 0 {
			image.Platforms = bothPlatforms
		}
		l.images = append(l.images, s.hub.AddImage(fmt.Sprintf("acme/image%d", i), "1", image))
	}
	for phase := range loadPhases {
		var restore []func()
		for _, f := range faultsOf(phase) {
			restore = append(restore, s.hub.Break(f))
		}
		l.phase(uint64(phase))
		for _, end := range restore {
			end()
		}
		s.clock.Pass(11 * time.Minute) // past the tags' TTL, tokens, and every rest
	}
	s.stop()

	want := map[string]sums{}
	counted := s.hub.Counters()
	for account, tally := range counted.Accounts {
		want[account] = ofHub(tally)
	}
	if diff := cmp.Diff(want, s.bookedSums()); diff != "" {
		t.Errorf("by account (-the Hub's +the ledger's):\n%s", diff)
	}
	var bytes, redirects, elsewhere int64
	for _, r := range s.hub.Requests() {
		if r.Service == hubsim.CDN { // by HEAD too
			elsewhere++
		}
	}
	for _, c := range s.booked() {
		bytes += c.Bytes
		if c.Kind == "redirect" {
			redirects++
		}
	}
	if redirects != elsewhere || bytes != counted.Bytes {
		t.Errorf("%d redirects and %d bytes are booked, and the Hub saw %d and sent %d", redirects, bytes, elsewhere, counted.Bytes)
	}
	s.hoursAgree()
	if counted.PullsCounted < loadImages || counted.ManifestHEADs < loadImages || counted.CDNGETs < loadImages {
		t.Errorf("the load was too small: %+v", counted.Tally)
	}
	t.Logf("%d requests, of which the Hub saw %+v", loadPhases*loadClients*loadRequests, counted.Tally)
}

// bookedSums are what single calls come to, by account; strangers are "", as at the Hub.
func (s *stack) bookedSums() map[string]sums {
	all := map[string]sums{}
	for _, c := range s.booked() {
		account := c.Credential
		if account == "anonymous" {
			account = ""
		}
		of := all[account]
		switch c.Kind {
		case "manifest_get":
			of.Manifests++
		case "manifest_head":
			of.Checks++
		case "blob":
			of.Blobs++
		case "token":
			of.Tokens++
		}
		if c.Counted {
			of.Pulls++
		}
		all[account] = of
	}
	return all
}

// hoursAgree fails unless the sums of hours and those of single calls are the same.
func (s *stack) hoursAgree() {
	s.t.Helper()
	db, err := metadata.Open(s.t.Context(), filepath.Join(s.data, "metadata.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	long := s.clock.Now().Add(-1000 * time.Hour)
	for _, by := range []metadata.LedgerKey{metadata.LedgerUser, metadata.LedgerProject, metadata.LedgerImage, metadata.LedgerNamespace} {
		single, err := db.Ledger.Sums(s.t.Context(), "docker-hub", by, long, 1_000_000)
		if err != nil {
			s.t.Fatal(err)
		}
		hours, err := db.Ledger.HourSums(s.t.Context(), "docker-hub", by, long, 1_000_000)
		if err != nil {
			s.t.Fatal(err)
		}
		if diff := cmp.Diff(single, hours); diff != "" {
			s.t.Errorf("by %s (-single calls +hours):\n%s", by, diff)
		}
	}
}

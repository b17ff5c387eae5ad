package pullthrough_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/oci"
)

// refresher is whom tags are refreshed for.
var refresher = oci.Caller{User: oci.UserRefresh, Spares: 50}

func TestARecheckTakesATagToWhereItMoved(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	recheck := func(tag string, want bool) {
		t.Helper()
		if moved, err := cache.Recheck(t.Context(), refresher, nginx, tag); moved != want || err != nil {
			t.Errorf("moved is %t, %v", moved, err)
		}
	}
	recheck("latest", false)
	b.pull(cache, alice, nginx, "latest")
	moved := hub.AddImage("library/nginx", "latest", small(2))
	hub.ResetRequests()
	recheck("latest", false)
	if asked := hub.Requests(); len(asked) != 0 {
		t.Errorf("for a tag that is fresh the Hub was asked %v", asked)
	}
	b.clock.Pass(2 * time.Minute)
	recheck("latest", true)
	hub.ResetRequests()
	if got, _ := b.pull(cache, alice, nginx, "latest"); got.Digest != moved.Digest || len(hub.Requests()) != 0 {
		t.Errorf("the next pull got %s, and the Hub was asked %v", got.Digest, hub.Requests())
	}
}

func TestARecheckThatFailsTellsNothingToThoseWhoJoinedIt(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, alice, nginx, "latest")
	moved := hub.AddImage("library/nginx", "latest", small(2))
	b.clock.Pass(2 * time.Minute)
	hub.ResetRequests()
	hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Delay: 150 * time.Millisecond, Times: 1})
	hub.Break(hubsim.Fault{Kind: hubsim.Page200, Method: http.MethodGet, Path: hubsim.ManifestPath, Times: 1})
	var work sync.WaitGroup
	work.Go(func() {
		if moved, err := cache.Recheck(t.Context(), refresher, nginx, "latest"); moved || err == nil {
			t.Errorf("the recheck ended with %t, %v", moved, err)
		}
	})
	eventually(t, "the recheck is under way", func() bool { return seen(hub, http.MethodHead, latest) > 0 })
	got, served := b.pull(cache, alice, nginx, "latest")
	work.Wait()
	if got.Digest != moved.Digest || served.Warning != "" {
		t.Errorf("whoever joined got %s, %+v", got.Digest, served)
	}
	if seen(hub, http.MethodHead, latest) != 2 || strings.Contains(b.log.String(), "stale") {
		t.Errorf("the Hub was asked %v, and the log says %s", hub.Requests(), b.log)
	}
}

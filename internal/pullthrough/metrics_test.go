package pullthrough_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/oci"
)

func TestStaleAnswersAreCounted(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, alice, nginx, "latest")
	b.pull(cache, alice, nginx, "latest")
	b.clock.Pass(2 * time.Minute)
	hub.Break(hubsim.Fault{Kind: hubsim.Down})
	for range 2 {
		b.pull(cache, alice, nginx, "latest")
	}
	if _, _, err := cache.Tags(t.Context(), alice, nginx, oci.TagPage{Limit: 5}); err != nil {
		t.Fatal(err)
	}
	const name = "larder_cache_stale_served_total"
	want := "# HELP " + name + " Answers given from a stale copy because the upstream could not be asked.\n" +
		"# TYPE " + name + " counter\n" + name + `{project="docker-hub"} 3` + "\n"
	if err := testutil.GatherAndCompare(b.to, strings.NewReader(want), name); err != nil {
		t.Errorf("two stale images and a list of what is held: %v", err)
	}
}

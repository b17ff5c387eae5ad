package pullthrough_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pullthrough"
)

func TestANotFoundOfEveryKindIsRememberedForTenSeconds(t *testing.T) {
	missing := digest.FromString("nobody has it")
	for name, ask := range map[string]func(*pullthrough.Cache) error{
		"a tag": func(c *pullthrough.Cache) error {
			_, _, err := c.Manifest(t.Context(), alice, nginx, oci.Reference{Tag: "nope"})
			return err
		},
		"a manifest": func(c *pullthrough.Cache) error {
			_, _, err := c.Manifest(t.Context(), alice, nginx, oci.Reference{Digest: missing})
			return err
		},
		"a blob": func(c *pullthrough.Cache) error { _, _, err := c.Blob(t.Context(), alice, nginx, missing); return err },
		"a HEAD": func(c *pullthrough.Cache) error {
			_, _, err := c.StatBlob(t.Context(), alice, nginx, missing)
			return err
		},
		"tags": func(c *pullthrough.Cache) error {
			_, _, err := c.Tags(t.Context(), alice, "docker-hub/library/none", oci.TagPage{Limit: 5})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, hub, cache := docker(t, hubsim.Options{})
			hub.AddImage("library/nginx", "latest", small(1))
			first := ask(cache)
			if code := oci.CodeOf(first); !strings.HasSuffix(string(code), "_UNKNOWN") {
				t.Fatalf("the first answer: %v", first)
			}
			hub.ResetRequests()
			if again := ask(cache); oci.CodeOf(again) != oci.CodeOf(first) || len(hub.Requests()) > 0 {
				t.Errorf("asked again within ten seconds: %v, %v", hub.Requests(), again)
			}
			b.clock.Pass(11 * time.Second)
			if _ = ask(cache); len(hub.Requests()) == 0 {
				t.Error("not asked again after ten seconds")
			}
		})
	}
}

func TestAnUpstreamWithoutDigestsInItsAnswersIsRevalidatedAllTheSame(t *testing.T) {
	b := newBench(t)
	mute := &plain{manifest: []byte(`{"schemaVersion":2}`), mute: true}
	cache := b.open("plain", mute.start(t), nil)
	b.pull(cache, alice, "plain/acme/app", "1")
	b.clock.Pass(2 * time.Minute)
	if _, served := b.pull(cache, alice, "plain/acme/app", "1"); served.Cache.Stored || served.Cache.Detail != "revalidated" {
		t.Errorf("the answer is described as %q", served.Cache)
	}
}

func TestTheLogTellsWhyACheckFailed(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, alice, nginx, "latest")
	b.clock.Pass(2 * time.Minute)
	hub.Break(hubsim.Fault{Kind: hubsim.Status502, Path: hubsim.ManifestPath})
	b.pull(cache, alice, nginx, "latest")
	if !strings.Contains(b.log.String(), "502") {
		t.Errorf("the log says: %s", b.log)
	}
}

func TestARepositoryThatIsDeniedIsNotAskedFor(t *testing.T) {
	b, hub, before := docker(t, hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(before, alice, nginx, "latest")
	after := b.open("docker-hub", hub.URL(), func(c *pullthrough.Config) { c.Allows = func(string) bool { return false } })
	b.clock.Pass(2 * time.Minute)
	hub.ResetRequests()
	_, _, err := after.Manifest(t.Context(), alice, nginx, oci.Reference{Tag: "latest"})
	if oci.CodeOf(err) != oci.CodeDenied || len(hub.Requests()) > 0 {
		t.Errorf("got %v, and the Hub saw %v", err, hub.Requests())
	}
}

func TestATagThatMovedSinceItsHEADIsFoundWhereverItIsNow(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	old := hub.AddImage("library/nginx", "latest", small(1))
	if _, _, err := cache.StatManifest(t.Context(), alice, nginx, oci.Reference{Tag: "latest"}); err != nil {
		t.Fatal(err)
	}
	moved := hub.AddImage("library/nginx", "latest", small(2))
	hub.Break(hubsim.Fault{Kind: hubsim.NotFound404, Reference: old.Digest.String()}) // swept
	if got, _ := b.pull(cache, alice, nginx, "latest"); got.Digest != moved.Digest {
		t.Errorf("got %s", got.Digest)
	}
}

func TestAnUpstreamThatIsDownIsNotTakenForOneWithoutReferrers(t *testing.T) {
	_, hub, cache := docker(t, hubsim.Options{Referrers: true})
	image := hub.AddImage("library/nginx", "latest", small(1))
	hub.Break(hubsim.Fault{Kind: hubsim.Down})
	index, _, _, err := cache.Referrers(t.Context(), alice, nginx, image.Digest, "")
	if oci.CodeOf(err) != oci.CodeUpstreamDown {
		t.Errorf("got %s, %v", index, err)
	}
}

func TestTheErrorForAMissingListOfTagsSaysWhatWasLookedUp(t *testing.T) {
	b, _, _ := docker(t, hubsim.Options{})
	hidden := &plain{manifest: []byte(`{}`), status: onlyFor("acme")}
	cache := b.open("plain", hidden.start(t), nil, acme)
	_, _, err := cache.Tags(t.Context(), stranger, "plain/acme/app", oci.TagPage{Limit: 5})
	if err == nil || !strings.Contains(err.Error(), "acme/app (its tags)") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyAsManyPlatformsAreFetchedAsWerePulledFromTheOldIndex(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{})
	platforms := []v1.Platform{{OS: "linux", Architecture: "amd64"}}
	old := hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{100}, Platforms: platforms})
	b.pull(cache, alice, nginx, "latest")
	b.pull(cache, alice, nginx, old.Manifests[0].Digest.String())
	// One index that names the same platform a hundred times.
	entries := make([]string, 0, 100)
	for seed := range uint64(100) {
		m := hub.AddImage("library/nginx", "", small(seed+10))
		entries = append(entries, `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"`+m.Digest.String()+`","size":1,"platform":{"os":"linux","architecture":"amd64"}}`)
	}
	hub.AddManifest("library/nginx", "latest", "application/vnd.oci.image.index.v1+json",
		[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+strings.Join(entries, ",")+`]}`))
	b.clock.Pass(2 * time.Minute)
	hub.ResetRequests()
	b.pull(cache, alice, nginx, "latest")
	gets := 0
	for _, r := range hub.Requests() {
		if r.Method == http.MethodGet && strings.Contains(r.Path, "/manifests/") {
			gets++
		}
	}
	if gets != 2 {
		t.Errorf("the move cost %d pulls, want those of the index and of one platform", gets)
	}
}

func TestAManifestThatTheUpstreamRefusesIsAskedForOnceHoweverItIsNamed(t *testing.T) {
	_, hub, cache := docker(t, hubsim.Options{})
	image := hub.AddImage("library/nginx", "latest", small(1))
	byTag, byDigest := oci.Reference{Tag: "latest"}, oci.Reference{Digest: image.Digest}
	if _, _, err := cache.StatManifest(t.Context(), alice, nginx, byTag); err != nil {
		t.Fatal(err)
	}
	hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodGet, Path: hubsim.ManifestPath, Delay: 200 * time.Millisecond, Times: 1})
	hub.Delete("library/nginx") // the request waits and then finds nothing
	var work sync.WaitGroup
	for _, ref := range []oci.Reference{byTag, byDigest} {
		work.Go(func() {
			if _, _, err := cache.Manifest(t.Context(), alice, nginx, ref); oci.CodeOf(err) != oci.CodeManifestUnknown {
				t.Errorf("%s: %v", ref, err)
			}
		})
	}
	work.Wait()
	if n := seen(hub, http.MethodGet, "/v2/library/nginx/manifests/"+image.Digest.String()); n != 1 {
		t.Errorf("asked for %d times: %v", n, hub.Requests())
	}
}

func TestTheLogTellsOnceOfACheckThatHangsAndThenFails(t *testing.T) {
	b, hub, cache := dockerOn(newBench(t).impatient(), hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, alice, nginx, "latest")
	b.clock.Pass(2 * time.Minute)
	answer := hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Delay: ample, Times: 1})
	hub.Delete("library/nginx") // the request waits and then finds nothing
	if _, served := b.pull(cache, alice, nginx, "latest"); !strings.Contains(served.Warning, "did not answer in time") {
		t.Fatalf("the first answer's warning is %q", served.Warning)
	}
	answer()
	eventually(t, "the check ends", func() bool {
		_, served := b.pull(cache, alice, nginx, "latest")
		return strings.Contains(served.Warning, "no longer has it")
	})
	if told := strings.Count(b.log.String(), "serving a stale copy"); told != 1 {
		t.Errorf("the log tells %d times:\n%s", told, b.log)
	}
}

func TestACheckThatOutlivesItsCallersCountsWhenItsAnswerComes(t *testing.T) {
	b, hub, cache := dockerOn(newBench(t).impatient(), hubsim.Options{})
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, alice, nginx, "latest")
	moved := hub.AddImage("library/nginx", "latest", small(2))
	b.clock.Pass(2 * time.Minute)
	answer := hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Delay: ample, Times: 1})
	if _, served := b.pull(cache, alice, nginx, "latest"); served.Warning == "" {
		t.Fatalf("the answer is described as %q", served.Cache)
	}
	answer()
	eventually(t, "the tag has moved", func() bool {
		got, served := b.pull(cache, alice, nginx, "latest")
		return got.Digest == moved.Digest && served.Cache.Hit && served.Warning == ""
	})
}

package pullthrough_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pullthrough"
)

const latest = "/v2/library/nginx/manifests/latest"

func TestACheckThatBeganFromAnOldStateNeverTakesATagBack(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{}, acme)
	hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, stranger, nginx, "latest")
	moved := hub.AddImage("library/nginx", "latest", small(2))
	b.clock.Pass(61 * time.Minute)
	hub.ResetRequests()

	// The stranger has read the tag's state and waits for the answer whether
	// strangers may have it, while alice's pull finds that the tag moved.
	answer := hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Reference: "latest", Delay: ample, Times: 1})
	var work sync.WaitGroup
	work.Go(func() { _, _, _ = cache.Manifest(t.Context(), stranger, nginx, oci.Reference{Tag: "latest"}) })
	eventually(t, "the stranger waits", func() bool { return seen(hub, http.MethodHead, latest) > 0 })
	if got, _ := b.pull(cache, alice, nginx, "latest"); got.Digest != moved.Digest {
		t.Fatal("the tag's move was not noticed")
	}
	hub.Break(hubsim.Fault{Kind: hubsim.Status500, Reference: "latest", Method: http.MethodHead})
	answer()
	work.Wait()
	if got, _ := b.pull(cache, alice, nginx, "latest"); got.Digest != moved.Digest {
		t.Error("the tag went back to the old image")
	}
}

func TestWhoLookedBeforeAFirstPullEndedDoesNotPullAgain(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{}, acme)
	image := hub.AddImage("library/nginx", "latest", small(1))

	// The stranger has seen that the tag is not held and waits for the answer whether
	// strangers may have it, while alice pulls it.
	answer := hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Reference: "latest", Delay: ample, Times: 1})
	var work sync.WaitGroup
	work.Go(func() {
		got, _, err := cache.Manifest(t.Context(), stranger, nginx, oci.Reference{Tag: "latest"})
		if err != nil || got.Digest != image.Digest {
			t.Errorf("the stranger got %v, %v", got.Digest, err)
		}
	})
	eventually(t, "the stranger waits", func() bool { return seen(hub, http.MethodHead, latest) > 0 })
	b.pull(cache, alice, nginx, "latest")
	answer()
	work.Wait()
	if pulls := hub.Counters().PullsCounted; pulls != 1 {
		t.Errorf("one image cost %d pulls", pulls)
	}
}

func TestAnEvictionDuringACheckIsNotUndone(t *testing.T) {
	evictions := map[string]func(*pullthrough.Cache, oci.Manifest) error{
		"of the tag": func(c *pullthrough.Cache, _ oci.Manifest) error { return c.DeleteTag(t.Context(), nginx, "latest") },
		"of its manifest": func(c *pullthrough.Cache, m oci.Manifest) error {
			return c.DeleteManifest(t.Context(), nginx, m.Digest)
		},
	}
	for name, evict := range evictions {
		for _, fails := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				b, hub, cache := docker(t, hubsim.Options{})
				image := hub.AddImage("library/nginx", "latest", small(1))
				manifest, _ := b.pull(cache, alice, nginx, "latest")
				b.clock.Pass(2 * time.Minute)
				hub.ResetRequests()
				answer := hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Delay: ample, Times: 1})
				var work sync.WaitGroup
				work.Go(func() { _, _, _ = cache.StatManifest(t.Context(), alice, nginx, oci.Reference{Tag: "latest"}) })
				eventually(t, "the check is under way", func() bool { return seen(hub, http.MethodHead, latest) > 0 })
				if err := evict(cache, manifest); err != nil {
					t.Fatal(err)
				}
				if fails {
					hub.RepositoryGone("library/nginx")
				}
				answer()
				work.Wait()

				got, served, err := cache.Manifest(t.Context(), alice, nginx, oci.Reference{Tag: "latest"})
				switch {
				case fails && oci.CodeOf(err) != oci.CodeManifestUnknown:
					t.Errorf("what was evicted is still served: %v, %v", served.Cache, err)
				case !fails && (err != nil || got.Digest != image.Digest || served.Cache.Hit):
					t.Errorf("the next pull did not ask anew: %v, %v", served.Cache, err)
				}
			})
		}
	}
}

func TestAStrangerIsNotAnsweredForWhatAnotherStrangerAsked(t *testing.T) {
	b, hub, cache := docker(t, hubsim.Options{}, acme)
	image := hub.AddImage("library/nginx", "latest", small(1))
	hub.Break(hubsim.Fault{Kind: hubsim.Slow, Method: http.MethodHead, Reference: "nope", Delay: 300 * time.Millisecond, Times: 1})
	var work sync.WaitGroup
	work.Go(func() { _, _, _ = cache.Manifest(t.Context(), stranger, nginx, oci.Reference{Tag: "nope"}) })
	eventually(t, "the first question is under way", func() bool { return len(hub.Requests()) > 0 })
	if got, _ := b.pull(cache, stranger, nginx, "latest"); got.Digest != image.Digest {
		t.Error("another image came")
	}
	work.Wait()
}

func TestAfterAQuestionAboutStrangersThatHungNobodyWaitsForAnother(t *testing.T) {
	b, hub, cache := dockerOn(newBench(t).impatient(), hubsim.Options{}, acme)
	image := hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, stranger, nginx, "latest")
	b.clock.Pass(61 * time.Minute)
	hub.Break(hubsim.Fault{Kind: hubsim.StalledBeforeHeaders, Path: hubsim.ManifestPath})
	b.pull(cache, stranger, nginx, image.Digest.String())
	if took := fastest(func() { b.pull(cache, stranger, nginx, image.Digest.String()) }); took > patience/2 {
		t.Errorf("the next strangers waited %s", took)
	}
}

func TestAfterAFailedQuestionStrangersAreRefusedAtOnceWhereNothingIsKnown(t *testing.T) {
	b := newBench(t)
	b.cache.Limits.Check = patience // nobody loses patience where nothing is known
	b, hub, cache := dockerOn(b, hubsim.Options{}, acme)
	image := hub.AddImage("library/nginx", "latest", small(1))
	b.pull(cache, alice, nginx, "latest")
	hub.Break(hubsim.Fault{Kind: hubsim.StalledBeforeHeaders, Path: hubsim.ManifestPath})
	refused := func() {
		if _, _, err := cache.Manifest(t.Context(), stranger, nginx, oci.Reference{Digest: image.Digest}); oci.CodeOf(err) != oci.CodeUnauthorized {
			t.Fatalf("unknown does not mean login: %v", err)
		}
	}
	refused()
	if took := fastest(refused); took > patience/2 {
		t.Errorf("the next strangers waited %s", took)
	}
}

func TestWhatStrangersDoNotFindIsStillFoundWithTheCredential(t *testing.T) {
	b := newBench(t)
	hidden := &plain{manifest: []byte(`{"schemaVersion":2}`), status: onlyFor("acme")}
	cache := b.open("plain", hidden.start(t), nil, acme)
	ref := oci.Reference{Tag: "1"}
	if _, _, err := cache.Manifest(t.Context(), stranger, "plain/acme/app", ref); err == nil {
		t.Fatal("a stranger got it")
	}
	b.pull(cache, alice, "plain/acme/app", "1")
}

func TestAFillBegunWithACredentialIsNotJoinedByStrangersAfterItsRemoval(t *testing.T) {
	b, hub, before := docker(t, hubsim.Options{}, acme)
	after := b.open("docker-hub", hub.URL(), nil)
	layer := hub.AddImage("acme/app", "1", large(1)).Manifests[0].Layers[0].Digest
	hub.SetPrivate("acme/app", true)
	hub.Break(hubsim.Fault{Kind: hubsim.Stalled, Path: hubsim.BlobPath, Bytes: 100_000})
	transfer, _, err := before.Blob(t.Context(), alice, app, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = transfer.Close() }()
	if _, _, err := after.StatBlob(t.Context(), stranger, app, layer); oci.CodeOf(err) != oci.CodeBlobUnknown {
		t.Errorf("a HEAD tells a stranger of a private blob: %v", err)
	}
	if joined, _, err := after.Blob(t.Context(), stranger, app, layer); err == nil {
		_ = joined.Close()
		t.Error("a stranger reads a private blob")
	}
}

func TestReferrersThatACredentialPaidForAreNotForStrangersAfterItsRemoval(t *testing.T) {
	b, hub, before := docker(t, hubsim.Options{Referrers: true}, acme)
	after := b.open("docker-hub", hub.URL(), nil)
	image := hub.AddImage("acme/app", "1", small(1))
	raw := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/signature",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[],` +
		`"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + image.Digest.String() + `","size":2}}`)
	signature := hub.AddManifest("acme/app", "", "application/vnd.oci.image.manifest.v1+json", raw)
	hub.SetPrivate("acme/app", true)
	b.pull(before, alice, app, signature.String())
	hub.Break(hubsim.Fault{Kind: hubsim.Down})
	index, _, _, err := after.Referrers(t.Context(), stranger, app, image.Digest, "")
	if strings.Contains(string(index), signature.String()) || err == nil {
		t.Errorf("a stranger got %s, %v", index, err)
	}
	index, _, _, err = after.Referrers(t.Context(), alice, app, image.Digest, "")
	if err != nil || !strings.Contains(string(index), signature.String()) {
		t.Errorf("alice got %s, %v", index, err)
	}
}

func TestWhatComesToBeHeldAfterAStrangerWasAdmittedIsNotForTheStranger(t *testing.T) {
	b, hub, before := docker(t, hubsim.Options{}, acme)
	image := hub.AddImage("acme/app", "1", small(1))
	layer := image.Manifests[0].Layers[0].Digest
	hub.SetPrivate("acme/app", true)
	// A pull with the credential, of before a reload, ends between the look at what is
	// held and the fetch: the lists of what is allowed are asked right there.
	var meanwhile func()
	after := b.open("docker-hub", hub.URL(), func(c *pullthrough.Config) {
		c.Allows = func(string) bool { meanwhile(); return true }
	})
	meanwhile = sync.OnceFunc(func() { b.pull(before, alice, app, image.Digest.String()) })
	if _, _, err := after.Manifest(t.Context(), stranger, app, oci.Reference{Digest: image.Digest}); err == nil {
		t.Error("a stranger got a private manifest")
	}
	meanwhile = sync.OnceFunc(func() {
		if _, err := read(t.Context(), before, alice, app, layer); err != nil {
			t.Error(err)
		}
		eventually(t, "the blob is stored", func() bool { _, err := b.db.Blobs.Get(t.Context(), string(app), layer); return err == nil })
	})
	if _, err := read(t.Context(), after, stranger, app, layer); err == nil {
		t.Error("a stranger got a private blob")
	}
}

package imports_test

import (
	"errors"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

var bothPlatforms = []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

func TestAnImportBringsAllPlatformsWithBytesAndDigestsAsTheyAre(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	image := b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000, 100}, Platforms: bothPlatforms})
	done := b.run(wanted(false))
	if done.Reason != "" || done.Digest != image.Digest || done.ImportedAt.IsZero() {
		t.Errorf("the import is %+v", done)
	}
	b.holds(image)
	if kept := b.kept(); kept.Digest != image.Digest || kept.Creator != "alice" || !kept.CheckedAt.Equal(done.CheckedAt) {
		t.Errorf("what is kept is %+v", kept)
	}
}

func TestASourceThatHasNotMovedCostsOneHEADAndNoPull(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000}})
	b.run(wanted(true))
	before := b.hub.Counters()
	b.follow()
	after := b.hub.Counters()
	if after.PullsCounted != before.PullsCounted || after.ManifestHEADs != before.ManifestHEADs+1 {
		t.Errorf("it cost %d pulls and %d HEADs", after.PullsCounted-before.PullsCounted, after.ManifestHEADs-before.ManifestHEADs)
	}
}

func TestAScheduledImportFollowsItsSourceAndOthersDoNot(t *testing.T) {
	for _, scheduled := range []bool{true, false} {
		b := newBench(t, hubsim.Options{})
		first := b.hub.AddImage("library/centos", "7", hubsim.Image{Seed: 1, LayerSizes: []int64{3000}})
		b.run(wanted(scheduled))
		second := b.hub.AddImage("library/centos", "7", hubsim.Image{Seed: 2, LayerSizes: []int64{3000}})
		b.follow()
		want := first.Digest
		if scheduled {
			want = second.Digest
		}
		if got := b.names(); got != want {
			t.Errorf("scheduled %t: the tag names %s, want %s", scheduled, got, want)
		}
	}
}

func TestWhereAMemberHasNothingMoreItIsNotAskedWhoIsOne(t *testing.T) {
	b := newBench(t, hubsim.Options{}) // whose answer would be an error
	b.hub.AddImage("library/centos", "7", hubsim.Image{Seed: 1})
	set := wanted(true)
	set.Member = true
	b.run(set)
	moved := b.hub.AddImage("library/centos", "7", hubsim.Image{Seed: 2})
	b.follow()
	if kept := b.kept(); kept.Digest != moved.Digest || kept.Reason != "" {
		t.Errorf("the import is %+v, want %s", kept, moved.Digest)
	}
}

func TestASourceThatFailsLeavesTheTagAndTheReasonIsKept(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	image := b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000}})
	b.run(wanted(true))
	restore := b.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	b.follow()
	if kept := b.kept(); kept.Reason != "Unavailable" || kept.Message == "" || kept.Digest != image.Digest || b.names() != image.Digest {
		t.Errorf("the import is %+v, and the tag names %s", kept, b.names())
	}
	restore()
	b.follow()
	if kept := b.kept(); kept.Reason != "" || kept.Message != "" {
		t.Errorf("once the source is back the import is %+v", kept)
	}
}

func TestFailuresHaveTheReasonsOfConditions(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*bench)
		reason string
	}{
		"missing":     {func(b *bench) { b.hub.DeleteTag("library/centos", "7") }, "NotFound"},
		"private":     {func(b *bench) { b.hub.SetPrivate("library/centos", true) }, "Unauthorized"},
		"not allowed": {func(b *bench) { b.allows = func(string) bool { return false } }, "Forbidden"},
		"no manifest": {func(b *bench) {
			b.hub.AddManifest("library/centos", "7", v1.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
		}, "Invalid"},
		"schema 1": {func(b *bench) {
			b.hub.AddManifest("library/centos", "7", "application/vnd.docker.distribution.manifest.v1+json", []byte(`{"schemaVersion":1}`))
		}, "Invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, hubsim.Options{})
			b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000}})
			test.change(b)
			done := b.run(wanted(false))
			if done.Reason != test.reason || done.Message == "" || b.names() != "" {
				t.Errorf("the import is %+v, and the tag names %q; want %s", done, b.names(), test.reason)
			}
			if name == "schema 1" && !strings.Contains(done.Message, "skopeo copy --format v2s2 docker://"+source+" docker://HOST/demo/centos:7") {
				t.Errorf("%q lacks the line that converts the image", done.Message)
			}
		})
	}
}

func TestAWrongPasswordDoesNotHideWhatEverybodyMaySee(t *testing.T) {
	b := newBench(t, hubsim.Options{Accounts: []hubsim.Account{{Username: "acme", Password: "right"}}}, upstream.Credential{Username: "acme", Password: "wrong"})
	image := b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000}})
	if done := b.run(wanted(false)); done.Reason != "" || b.names() != image.Digest {
		t.Errorf("the import is %+v", done)
	}
}

func TestBlobsThatTheCacheHoldsAreNotFetchedAgain(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	image := b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000}})
	layer := image.Manifests[0].Layers[0].Digest
	content, _ := b.hub.OpenBlob(layer)
	if err := b.hosted.PutBlob(t.Context(), "docker-hub/library/centos", layer, content); err != nil {
		t.Fatal(err)
	}
	b.run(wanted(false))
	b.holds(image)
	if n := b.hub.Counters().CDNGETs; n != 1 {
		t.Errorf("%d blobs were fetched, want the config alone", n)
	}
}

func TestABlobOfAnotherRepositoryIsNotTakenForItsDigestAlone(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	image := b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{3000}})
	m := image.Manifests[0]
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		content, _ := b.hub.OpenBlob(d.Digest)
		if err := b.hosted.PutBlob(t.Context(), "demo/secret", d.Digest, content); err != nil {
			t.Fatal(err)
		}
	}
	b.hub.AddManifest("acme/thief", "1", m.MediaType, m.Raw)
	theft := wanted(false)
	theft.Source = "docker.io/acme/thief:1"
	if done := b.run(theft); done.Reason == "" || b.names() != "" {
		t.Errorf("what the source does not have came from another repository: %+v", done)
	}
}

func TestABlobThatBreaksOffIsGoneOnWith(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	image := b.hub.AddImage("library/centos", "7", hubsim.Image{LayerSizes: []int64{300_000}})
	b.hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.CDNPath, Bytes: 100_000, Times: 2})
	if done := b.run(wanted(false)); done.Reason != "" {
		t.Errorf("the import is %+v", done)
	}
	b.holds(image)
}

func TestOneTagIsImportedByOneAtATime(t *testing.T) {
	b := newBench(t, hubsim.Options{})
	lease := metadata.Lease{Name: "import demo/centos:7", Holder: "another"}
	if err := b.db.Leases.Acquire(t.Context(), lease, imports.Every); err != nil {
		t.Fatal(err)
	}
	if _, err := b.importer.Import(t.Context(), wanted(false)); !errors.Is(err, imports.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
}

func TestImagesAreReadAsClientsReadThem(t *testing.T) {
	for text, want := range map[string]imports.Image{
		"centos":                       {Host: "docker.io", Repository: "library/centos", Reference: "latest"},
		"docker.io/library/centos:7":   {Host: "docker.io", Repository: "library/centos", Reference: "7"},
		"quay.io:443/a/b/c:1":          {Host: "quay.io:443", Repository: "a/b/c", Reference: "1"},
		"https://quay.io/a":            {},
		"quay.io/../a":                 {},
		"user:secret@quay.io/a/b:1":    {},
		"docker.io/library/centos:7@x": {},
	} {
		got, err := imports.ParseImage(text)
		if got != want || (err != nil) != (want == imports.Image{}) {
			t.Errorf("%q is %+v (%v), want %+v", text, got, err, want)
		}
	}
}

func FuzzParseImage(f *testing.F) {
	f.Add("docker.io/library/centos:7")
	f.Add("[::1]:5000/a@sha256:0")
	f.Fuzz(func(t *testing.T, text string) {
		image, err := imports.ParseImage(text)
		if err == nil && (image.Host == "" || strings.ContainsAny(image.Host, "/@") || oci.CheckName(image.Repository) != nil) {
			t.Errorf("%q is %+v", text, image)
		}
	})
}

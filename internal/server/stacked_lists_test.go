package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	signature = "application/vnd.example.signature"
	sbom      = "application/vnd.example.sbom"
)

// artifact is a manifest that refers to a subject.
func artifact(subject v1.Descriptor, artifactType string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[],`+
		`"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
		v1.MediaTypeImageManifest, artifactType, v1.MediaTypeEmptyJSON, digest.FromString("{}"), subject.MediaType, subject.Digest, subject.Size)
}

// referrersOf asks for referrers and gives their digests.
func (s *stack) referrersOf(base string, d digest.Digest, query string) (got answer, found []digest.Digest) {
	s.t.Helper()
	got = s.get(base + "referrers/" + d.String() + query)
	var index v1.Index
	if err := json.Unmarshal(got.body, &index); err != nil || got.status != 200 || got.header.Get("Content-Type") != v1.MediaTypeImageIndex {
		s.t.Fatalf("referrers: %d %s, %v", got.status, got.body, err)
	}
	found = []digest.Digest{}
	for _, m := range index.Manifests {
		found = append(found, m.Digest)
	}
	slices.Sort(found)
	return got, found
}

func sorted(digests ...digest.Digest) []digest.Digest {
	slices.Sort(digests)
	return digests
}

func TestReferrersComeFromTheUpstreamFilteredByType(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
	image := s.hub.AddImage("acme/tool", "1", small(1))
	signed := s.hub.AddManifest("acme/tool", "", v1.MediaTypeImageManifest, artifact(image.Descriptor, signature))
	listed := s.hub.AddManifest("acme/tool", "", v1.MediaTypeImageManifest, artifact(image.Descriptor, sbom))

	got, found := s.referrersOf(tool, image.Digest, "")
	if diff := cmp.Diff(sorted(signed, listed), found); diff != "" || got.header.Get("OCI-Filters-Applied") != "" {
		t.Errorf("all referrers, filters %q (-want +got):\n%s", got.header.Get("OCI-Filters-Applied"), diff)
	}
	got, found = s.referrersOf(tool, image.Digest, "?artifactType="+sbom)
	if diff := cmp.Diff([]digest.Digest{listed}, found); diff != "" || got.header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("those of one type, filters %q (-want +got):\n%s", got.header.Get("OCI-Filters-Applied"), diff)
	}
	s.get(tool+"manifests/"+signed.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, signed)
	if _, found = s.referrersOf(tool, digest.FromString("nobody's subject"), ""); len(found) > 0 {
		t.Errorf("of what does not exist there are referrers: %v", found)
	}
}

func TestWithoutTheReferrersAPITheTagThatTheStandardDerivesIsRead(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	signed, listed := artifact(image.Descriptor, signature), artifact(image.Descriptor, sbom)
	index := v1.Index{MediaType: v1.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for artifactType, raw := range map[string][]byte{signature: signed, sbom: listed} {
		d := s.hub.AddManifest("library/nginx", "", v1.MediaTypeImageManifest, raw)
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(raw)), ArtifactType: artifactType})
	}
	raw, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	s.hub.AddManifest("library/nginx", strings.Replace(image.Digest.String(), ":", "-", 1), v1.MediaTypeImageIndex, raw)

	_, found := s.referrersOf(nginx, image.Digest, "")
	if diff := cmp.Diff(sorted(digest.FromBytes(signed), digest.FromBytes(listed)), found); diff != "" {
		t.Errorf("all referrers (-want +got):\n%s", diff)
	}
	got, found := s.referrersOf(nginx, image.Digest, "?artifactType="+signature)
	if diff := cmp.Diff([]digest.Digest{digest.FromBytes(signed)}, found); diff != "" || got.header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("those of one type, filters %q (-want +got):\n%s", got.header.Get("OCI-Filters-Applied"), diff)
	}
	if left := s.hub.Remaining(""); left != hubsim.DefaultAnonymousLimit-1 {
		t.Errorf("two lists of referrers left %d pulls, want all but one", left)
	}
}

func TestAnImageWithoutReferrersHasAnEmptyListAndCostsNoPull(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	if _, found := s.referrersOf(nginx, image.Digest, ""); len(found) > 0 {
		t.Errorf("there are referrers: %v", found)
	}
	if left := s.hub.Remaining(""); left != hubsim.DefaultAnonymousLimit {
		t.Errorf("%d pulls are left", left)
	}
}

func TestWhileTheUpstreamIsDownTheReferrersThatAreHeldAreListed(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
	image := s.hub.AddImage("acme/tool", "1", small(1))
	signed := s.hub.AddManifest("acme/tool", "", v1.MediaTypeImageManifest, artifact(image.Descriptor, signature))
	s.hub.AddManifest("acme/tool", "", v1.MediaTypeImageManifest, artifact(image.Descriptor, sbom))
	s.get(tool+"manifests/1").is(t, image.Digest)
	s.get(tool+"manifests/"+signed.String()).is(t, signed)
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})

	got, found := s.referrersOf(tool, image.Digest, "")
	if diff := cmp.Diff([]digest.Digest{signed}, found); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
	got.wants(t, 200, "larder; hit; detail=stale-if-error")
	if warning := got.header.Get("Warning"); !strings.Contains(warning, "only what is held here is listed") {
		t.Errorf("Warning %q", warning)
	}
}

// tagsOf reads a list of tags page by page, as its Link headers lead on.
func (s *stack) tagsOf(base, query string) (tags []string, pages int) {
	s.t.Helper()
	for path := base + "tags/list" + query; path != ""; {
		got := s.get(path)
		var list struct{ Tags []string }
		if err := json.Unmarshal(got.body, &list); err != nil || got.status != 200 {
			s.t.Fatalf("%s: %d %s, %v", path, got.status, got.body, err)
		}
		tags, pages = append(tags, list.Tags...), pages+1
		next, _, _ := strings.Cut(strings.TrimPrefix(got.header.Get("Link"), "<"), ">")
		if path = next; pages > 100 {
			s.t.Fatalf("the list does not end: it leads on to %s", next)
		}
	}
	return tags, pages
}

func TestTagsAreListedInPagesWhateverThePagesOfTheUpstream(t *testing.T) {
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("v%02d", i))
	}
	for _, test := range []struct {
		upstream int
		query    string
		pages    int
	}{{0, "", 1}, {0, "?n=4", 3}, {3, "", 1}, {3, "?n=4", 3}, {3, "?n=2", 5}, {3, "?n=10", 1}} {
		t.Run(fmt.Sprintf("pages of %d upstream, asked for %q", test.upstream, test.query), func(t *testing.T) {
			t.Parallel()
			s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true, TagPage: test.upstream}, "registries: [quay.io]")
			for _, tag := range want {
				s.hub.AddImage("acme/tool", tag, small(1))
			}
			got, pages := s.tagsOf(tool, test.query)
			if diff := cmp.Diff(want, got); diff != "" || pages != test.pages {
				t.Errorf("in %d pages, want %d (-want +got):\n%s", pages, test.pages, diff)
			}
			join := "?"
			if test.query != "" {
				join = "&"
			}
			if got, _ = s.tagsOf("/v2/acme/tool/", test.query+join+"ns=quay.io"); !cmp.Equal(want, got) {
				t.Errorf("by the upstream's own name the pages lead to %v", got)
			}
		})
	}
}

func TestWhileTheUpstreamIsDownTheTagsThatAreHeldAreListed(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	for _, tag := range []string{"1", "2", "3"} {
		s.hub.AddImage("library/nginx", tag, small(1))
	}
	s.get(nginx + "manifests/1")
	s.get(nginx + "manifests/3")
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	if got, _ := s.tagsOf(nginx, ""); !cmp.Equal([]string{"1", "3"}, got) {
		t.Errorf("the tags are %v", got)
	}
	if got, pages := s.tagsOf(nginx, "?n=1"); !cmp.Equal([]string{"1", "3"}, got) || pages != 2 {
		t.Errorf("the tags are %v in %d pages", got, pages)
	}
	got := s.get(nginx+"tags/list").wants(t, 200, "larder; hit; detail=stale-if-error")
	if warning := got.header.Get("Warning"); !strings.HasPrefix(warning, `299 - "`) || !strings.Contains(warning, "Docker Hub cannot be reached") {
		t.Errorf("Warning %q", warning)
	}
	if got := s.get("/v2/docker-hub/library/redis/tags/list"); got.status != 503 || !strings.Contains(string(got.body), "library/redis") {
		t.Errorf("where nothing is held: %d %s", got.status, got.body)
	}
}

func TestAnEmptyPageOfTagsIsAListWithoutTags(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.hub.AddImage("library/nginx", "1", small(1))
	s.hub.AddImage("library/nginx", "2", small(2))
	s.get(nginx + "manifests/1")
	wantsNone := func(cache string) {
		t.Helper()
		got := s.get(nginx+"tags/list?n=0").wants(t, 200, cache)
		if diff := cmp.Diff(`{"name":"docker-hub/library/nginx","tags":[]}`, strings.TrimSpace(string(got.body))); diff != "" || got.header.Get("Link") != "" {
			t.Errorf("Link %q (-want +got):\n%s", got.header.Get("Link"), diff)
		}
	}
	wantsNone("larder; fwd=miss; fwd-status=200")
	if got := s.get("/v2/docker-hub/library/none/tags/list?n=0"); got.status != 404 {
		t.Errorf("of a repository that does not exist: %d %s", got.status, got.body)
	}
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	wantsNone("larder; hit; detail=stale-if-error")
}

func TestAFrozenUpstreamIsAskedOnceForAList(t *testing.T) {
	for name, test := range map[string]struct {
		path hubsim.PathKind
		list func(digest.Digest) string
	}{
		"of tags":      {hubsim.TagsPath, func(digest.Digest) string { return "tags/list?n=50" }},
		"of referrers": {hubsim.ReferrersPath, func(d digest.Digest) string { return "referrers/" + d.String() }},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
			s.losesPatience()
			s.givesUpSoon()
			image := s.hub.AddImage("acme/tool", "1", small(1))
			signed := s.hub.AddManifest("acme/tool", "", v1.MediaTypeImageManifest, artifact(image.Descriptor, signature))
			s.get(tool+"manifests/1").is(t, image.Digest)
			s.get(tool+"manifests/"+signed.String()).is(t, signed)
			restore := s.hub.Break(hubsim.Fault{Kind: hubsim.StalledBeforeHeaders, Path: test.path})
			s.hub.ResetRequests()
			path := tool + test.list(image.Digest)
			var work sync.WaitGroup
			for range 5 {
				work.Go(func() {
					got, err := s.try(t.Context(), request{path: path})
					if err != nil || got.status != 200 || got.cache() != "larder; hit; detail=stale-if-error" {
						t.Errorf("got %d with Cache-Status %q, %v", got.status, got.cache(), err)
					}
				})
			}
			work.Wait()
			s.get(path).wants(t, 200, "larder; hit; detail=stale-if-error")
			if asked := s.hub.Requests(); len(asked) != 1 {
				t.Errorf("the Hub saw %v", asked)
			}
			restore()
			s.eventually("the upstream's own list comes again", func() bool {
				s.clock.Pass(10 * time.Minute) // past the TTL, which begins when the question that hangs has failed
				return s.get(path).cache() == "larder; fwd=miss; fwd-status=200"
			})
		})
	}
}

func TestReferrersInARepositoryThatDoesNotExistTellTheUpstreamsStatus(t *testing.T) {
	subject := digest.FromString("nobody's subject").String()
	newStack(t, hubsim.Options{}, "").get(nginx+"referrers/"+subject).wants(t, 200, "larder; fwd=miss; fwd-status=401")
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
	s.get(tool+"referrers/"+subject).wants(t, 200, "larder; fwd=miss; fwd-status=404")
}

package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// pushIndex pushes an index of images that are there.
func (f *fixture) pushIndex(repo oci.Repository, tag string, platforms map[string]digest.Digest) digest.Digest {
	f.t.Helper()
	list := ""
	for architecture, d := range platforms {
		m, _, err := f.hosted.Manifest(f.t.Context(), oci.Caller{}, repo, oci.Reference{Digest: d})
		if err != nil {
			f.t.Fatal(err)
		}
		if list != "" {
			list += ","
		}
		list += fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":%q}}`, m.MediaType, d, len(m.Content), architecture)
	}
	content := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + list + `]}`
	receipt, err := f.hosted.PutManifest(f.t.Context(), repo, registry.ManifestPush{Reference: oci.Reference{Tag: tag}, Content: []byte(content), Actor: "alice"})
	if err != nil {
		f.t.Fatal(err)
	}
	return receipt.Digest
}

// tagNames are the names of the tags of demo/app that a query finds, over all pages.
func (f *fixture) tagNames(query string) []string {
	f.t.Helper()
	names, after := []string{}, ""
	for {
		var page TagList
		f.want(f.do(admin, "GET", "/api/v1/projects/demo/repositories/app/tags?limit=2&after="+after+"&"+query, ""), 200, &page)
		for _, t := range page.Items {
			names = append(names, t.Name)
		}
		if after = page.Next; after == "" {
			return names
		}
	}
}

func (f *fixture) pulled(d digest.Digest) {
	f.t.Helper()
	if err := f.db.Manifests.Pulled(f.t.Context(), []metadata.Pull{{Repository: "demo/app", Digest: d, At: f.now}}); err != nil {
		f.t.Fatal(err)
	}
}

func TestATagIsStaleAfterAMonthWithoutAPushAndWithoutAPull(t *testing.T) {
	f := newFixture(t)
	pushed := time.Now() // the metadata's own clock says when something is pushed
	f.now = pushed
	f.project("demo")
	f.push("demo/app", "left", "a layer that nobody pulls")
	pulled := f.push("demo/app", "pulled", "a layer that somebody pulls")
	one, other := f.push("demo/app", "one", "the first platform"), f.push("demo/app", "other", "the second platform")
	f.pushIndex("demo/app", "both", map[string]digest.Digest{"amd64": one, "arm64": other})
	f.now = pushed.AddDate(0, 0, 28).Add(-time.Minute) // no month is shorter
	if got := f.tagNames("stale=true"); len(got) > 0 {
		t.Errorf("within the month these are stale: %v", got)
	}
	f.now = pushed.AddDate(0, 0, 31).Add(time.Hour) // nor longer
	f.pulled(pulled)
	if diff := cmp.Diff([]string{"both", "left", "one", "other"}, f.tagNames("stale=true")); diff != "" {
		t.Errorf("stale (-want +got):\n%s", diff)
	}

	f.pulled(other)
	if diff := cmp.Diff([]string{"left", "one"}, f.tagNames("stale=true")); diff != "" {
		t.Errorf("stale once one image of the index was pulled (-want +got):\n%s", diff)
	}
}

func TestTagsAreFoundByPatternAndPlatform(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	amd := f.push("demo/app", "v1.0", "a layer")
	for _, tag := range []string{"v1.1", "v1.2", "v2.0", "latest"} {
		f.push("demo/app", tag, "a layer of "+tag)
	}
	f.pushIndex("demo/app", "v1.3", map[string]digest.Digest{"amd64": amd, "arm64": amd})
	for query, want := range map[string][]string{
		"match=v1.*":                      {"v1.0", "v1.1", "v1.2", "v1.3"},
		"match=%3F1.*":                    {"v1.0", "v1.1", "v1.2", "v1.3"},
		"match=none":                      {},
		"platform=linux/arm64":            {"v1.3"},
		"match=v1.*&platform=linux/amd64": {"v1.0", "v1.1", "v1.2", "v1.3"},
		"match=latest&stale=true":         {},
		"platform=linux/s390x":            {},
		"":                                {"latest", "v1.0", "v1.1", "v1.2", "v1.3", "v2.0"},
	} {
		if diff := cmp.Diff(want, f.tagNames(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	f.wantProblem(f.do(admin, "GET", "/api/v1/projects/demo/repositories/app/tags?match=[", ""), 400, "match has the pattern")
}

func TestATagTellsTheSizesOfItsImages(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	amd := f.push("demo/app", "amd", "a layer")
	f.pushIndex("demo/app", "all", map[string]digest.Digest{"amd64": amd})
	var one, index Tag
	f.want(f.do(admin, "GET", "/api/v1/projects/demo/repositories/app/tags/amd", ""), 200, &one)
	f.want(f.do(admin, "GET", "/api/v1/projects/demo/repositories/app/tags/all", ""), 200, &index)
	if len(one.Images) != 1 || one.Images[0].Unpacked != int64(len("a layer")) || one.Images[0].Size != one.Size {
		t.Fatalf("the one image = %+v of %d", one.Images, one.Size)
	}
	if diff := cmp.Diff(one.Images, index.Images); diff != "" {
		t.Errorf("the index's image (-alone +in the index):\n%s", diff)
	}
	if index.Size <= one.Size {
		t.Errorf("the index takes %d bytes, its image alone %d", index.Size, one.Size)
	}
}

func TestATagThatMovedSinceItWasSeenIsNotDeleted(t *testing.T) {
	f := newFixture(t)
	f.project("demo")
	seen := f.push("demo/app", "latest", "as it was seen")
	f.push("demo/app", "latest", "as it is")
	const tag = "/api/v1/projects/demo/repositories/app/tags/latest"
	f.wantProblem(f.do(admin, "DELETE", tag+"?digest="+seen.String(), ""), 409, "latest", "was not deleted")
	var now Tag
	f.want(f.do(admin, "GET", tag, ""), 200, &now)
	f.want(f.do(admin, "DELETE", tag+"?digest="+now.Digest, ""), 204, nil)
}

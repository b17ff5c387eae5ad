package distribution_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

type tagPage struct {
	Name string
	Tags []string
}

func discoveryRequirements() []requirement {
	pushTags := func(t *testing.T, f *fixture) {
		content := f.image("demo/app", nil)
		for _, tag := range []string{"c", "a", "d", "b"} {
			f.pushManifest("demo/app", tag, content).expect(t, 201, "")
		}
	}
	list := func(t *testing.T, f *fixture, query string) (tagPage, string) {
		got := f.get("/v2/demo/app/tags/list"+query).expect(t, 200, "")
		return unmarshal[tagPage](t, got.body), got.Header.Get("Link")
	}
	return []requirement{
		{"Listing Tags", "tags MUST be answered with 200 in lexical order", func(t *testing.T, f *fixture) {
			pushTags(t, f)
			got, link := list(t, f, "")
			if diff := cmp.Diff(tagPage{"demo/app", []string{"a", "b", "c", "d"}}, got); diff != "" || link != "" {
				t.Errorf("(-want +got):\n%slink %q", diff, link)
			}
		}},
		{"Listing Tags", "n MUST give that many, and a Link MUST have rel=next", func(t *testing.T, f *fixture) {
			pushTags(t, f)
			got, link := list(t, f, "?n=3")
			if diff := cmp.Diff([]string{"a", "b", "c"}, got.Tags); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			next, rest, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
			if rest != `; rel="next"` {
				t.Fatalf("link %q", link)
			}
			last := unmarshal[tagPage](t, f.get(next).expect(t, 200, "").header(t, "Link", "").body)
			if diff := cmp.Diff([]string{"d"}, last.Tags); diff != "" {
				t.Errorf("the next page (-want +got):\n%s", diff)
			}
		}},
		{"Listing Tags", "n of zero MUST give an empty list without a Link", func(t *testing.T, f *fixture) {
			pushTags(t, f)
			got, link := list(t, f, "?n=0")
			if got.Tags == nil || len(got.Tags) != 0 || link != "" {
				t.Errorf("got %v, link %q", got.Tags, link)
			}
		}},
		{"Listing Tags", "last MUST begin after that tag, with and without n", func(t *testing.T, f *fixture) {
			pushTags(t, f)
			for query, want := range map[string][]string{"?last=b": {"c", "d"}, "?n=1&last=b": {"c"}, "?n=1&last=bb": {"c"}} {
				if got, _ := list(t, f, query); !cmp.Equal(want, got.Tags) {
					t.Errorf("%s gave %v, want %v", query, got.Tags, want)
				}
			}
			f.get("/v2/demo/app/tags/list?n=-1").expect(t, 400, oci.CodePaginationInvalid)
			f.get("/v2/demo/app/tags/list?n=many").expect(t, 400, oci.CodePaginationInvalid)
		}},
		{"Listing Tags", "a repository without tags has an empty list, none at all is a 404", func(t *testing.T, f *fixture) {
			f.pushBlob("demo/app", nil, digest.SHA256)
			if got, _ := list(t, f, ""); got.Tags == nil || len(got.Tags) != 0 {
				t.Errorf("got %v", got.Tags)
			}
			f.get("/v2/demo/nowhere/tags/list").expect(t, 404, oci.CodeNameUnknown)
		}},
		{"Listing Referrers", "referrers MUST be answered with 200 and an index, empty where there are none, never 404", func(t *testing.T, f *fixture) {
			subject := digest.FromString("subject")
			for _, repo := range []string{"demo/app", "demo/nowhere", "nowhere/app"} {
				got := f.get("/v2/"+repo+"/referrers/"+subject.String()).expect(t, 200, "").header(t, "Content-Type", v1.MediaTypeImageIndex)
				var index struct{ Manifests *[]v1.Descriptor }
				if err := json.Unmarshal(got.body, &index); err != nil || index.Manifests == nil || len(*index.Manifests) != 0 {
					t.Errorf("%s: got %s, %v", repo, got.body, err)
				}
			}
			f.get("/v2/demo/app/referrers/sha256:abc").expect(t, 400, oci.CodeDigestInvalid)
			f.get("/v2/demo/app/referrers/latest").expect(t, 400, oci.CodeDigestInvalid)
		}},
		{"Listing Referrers", "descriptors MUST tell artifactType and annotations, and filters MUST be told", func(t *testing.T, f *fixture) {
			subject := &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 1}
			typed := f.image("demo/app", func(m *v1.Manifest) {
				m.Subject, m.ArtifactType, m.Annotations = subject, "application/example", map[string]string{"a": "b"}
			})
			index := marshal(t, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}, Subject: subject})
			f.pushManifest("demo/app", "typed", typed).expect(t, 201, "")
			f.do(request{method: "PUT", path: "/v2/demo/app/manifests/index", body: index}).expect(t, 201, "").header(t, "OCI-Subject", subject.Digest.String())
			path := "/v2/demo/app/referrers/" + subject.Digest.String()
			all := unmarshal[v1.Index](t, f.get(path).expect(t, 200, "").header(t, "OCI-Filters-Applied", "").body)
			if len(all.Manifests) != 2 {
				t.Errorf("got %d referrers", len(all.Manifests))
			}
			filtered := unmarshal[v1.Index](t, f.get(path+"?artifactType=application/example").header(t, "OCI-Filters-Applied", "artifactType").body)
			want := []v1.Descriptor{{
				MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(typed), Size: int64(len(typed)),
				ArtifactType: "application/example", Annotations: map[string]string{"a": "b"},
			}}
			if diff := cmp.Diff(want, filtered.Manifests); diff != "" {
				t.Errorf("filtered (-want +got):\n%s", diff)
			}
		}},
	}
}

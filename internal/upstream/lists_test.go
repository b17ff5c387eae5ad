package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

func TestTagsAreListedInPages(t *testing.T) {
	all := []string{"1.0", "1.1", "2.0", "2.1", "latest"}
	tests := []struct {
		name   string
		serves func(http.ResponseWriter, url.Values)
		page   oci.TagPage
		want   oci.TagList
		asked  []string
	}{
		{"a page as the specification has it",
			func(w http.ResponseWriter, _ url.Values) {
				w.Header().Set("Link", `</v2/library/nginx/tags/list?n=2&last=2.0>; rel="next"`)
				writeTags(w, all[1:3])
			},
			oci.TagPage{Last: "1.0", Limit: 2}, oci.TagList{Tags: all[1:3], More: true}, []string{"?last=1.0&n=2"}},
		{"an upstream that ignores both and sorts nothing",
			func(w http.ResponseWriter, _ url.Values) {
				writeTags(w, []string{"latest", "2.0", "1.0", "2.1", "1.1"})
			},
			oci.TagPage{Last: "1.0", Limit: 2}, oci.TagList{Tags: all[1:3], More: true}, []string{"?last=1.0&n=2"}},
		{"an upstream that pages by its own mark",
			func(w http.ResponseWriter, q url.Values) {
				if q.Get("mark") == "" {
					w.Header().Set("Link", `<http://elsewhere.example.com/list?mark=2>; rel=next`)
					writeTags(w, all[:3])
					return
				}
				writeTags(w, all[3:])
			},
			oci.TagPage{Last: "2.0", Limit: 5}, oci.TagList{Tags: all[3:]}, []string{"?last=2.0&n=5", "?mark=2"}},
		{"all of them", func(w http.ResponseWriter, _ url.Values) { writeTags(w, all) }, oci.TagPage{}, oci.TagList{Tags: all}, []string{""}},
		{"none", func(w http.ResponseWriter, _ url.Values) { _, _ = io.WriteString(w, `{"tags":null}`) }, oci.TagPage{Limit: 3}, oci.TagList{}, []string{"?n=3"}},
		{"what is no tag is left out", func(w http.ResponseWriter, _ url.Values) { writeTags(w, []string{"../x", "ok"}) }, oci.TagPage{}, oci.TagList{Tags: []string{"ok"}}, []string{""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := serve(t, func(w http.ResponseWriter, r *http.Request) { test.serves(w, r.URL.Query()) })
			got, err := dial(t, w.URL).Tags(t.Context(), Any.For(nobody), nginx, test.page)
			good(t, err)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var want []string
			for _, query := range test.asked {
				want = append(want, "GET /v2/library/nginx/tags/list"+query)
			}
			w.expect(t, want...)
		})
	}
}

func writeTags(w io.Writer, tags []string) {
	_ = json.NewEncoder(w).Encode(map[string]any{"name": nginx, "tags": tags})
}

func TestAnEndlessListEnds(t *testing.T) {
	w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `</v2/x?n=1>; rel="next"`)
		_, _ = io.WriteString(w, `{"tags":["a"]}`)
	})
	c := dial(t, w.URL)
	list, err := c.Tags(t.Context(), Any.For(nobody), nginx, oci.TagPage{Last: "b", Limit: 1})
	good(t, err)
	if diff := cmp.Diff(oci.TagList{}, list); diff != "" || len(w.asked()) != maxPages {
		t.Error(diff)
	}
	_, err = c.Referrers(t.Context(), Any.For(nobody), nginx, blobDigest, "")
	failing(t, err, Invalid)
}

func TestAListThatIsTooLongOrUnreadableIsInvalid(t *testing.T) {
	for _, body := range [][]byte{[]byte("<html>"), bytes.Repeat([]byte(" "), maxListAnswer+1)} {
		w := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		c := dial(t, w.URL)
		_, err := c.Tags(t.Context(), Any.For(nobody), nginx, oci.TagPage{Limit: 1})
		failing(t, err, Invalid)
		_, err = c.Referrers(t.Context(), Any.For(nobody), nginx, blobDigest, "")
		failing(t, err, Invalid)
	}
}

func TestReferrersOfAllPagesAreOneIndex(t *testing.T) {
	descriptor := func(text string) string {
		return fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":1}`, v1.MediaTypeImageManifest, digest.FromString(text))
	}
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}`
	single := true
	w := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("page") {
			_, _ = fmt.Fprintf(w, index, descriptor("b"))
			return
		}
		if !single {
			w.Header().Set("Link", `<?page=2>; rel="next"`)
		}
		_, _ = fmt.Fprintf(w, index, descriptor("a"))
	})
	c := dial(t, w.URL)
	got, err := c.Referrers(t.Context(), Any.For(nobody), nginx, blobDigest, "application/spdx")
	good(t, err)
	if diff := cmp.Diff(fmt.Sprintf(index, descriptor("a")), string(got)); diff != "" {
		t.Error(diff)
	}
	path := "/v2/library/nginx/referrers/" + blobDigest.String()
	w.expect(t, "GET "+path+"?artifactType=application%2Fspdx")

	single = false
	got, err = c.Referrers(t.Context(), Any.For(nobody), nginx, blobDigest, "")
	good(t, err)
	if diff := cmp.Diff(fmt.Sprintf(index, descriptor("a")+","+descriptor("b")), string(got)); diff != "" {
		t.Error(diff)
	}
	w.expect(t, "GET "+path, "GET "+path+"?page=2")
}

func TestARegistryWithoutReferrersSaysNotFound(t *testing.T) {
	w := serve(t, http.NotFound)
	_, err := dial(t, w.URL).Referrers(t.Context(), Any.For(nobody), nginx, blobDigest, "")
	failing(t, err, NotFound)
}

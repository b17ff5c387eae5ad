package pullthrough_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// strangersAsk is a stranger's pull by digest: what the upstream answers strangers
// now, what it answered more than an hour ago, which credential is configured, whether
// the manifest is held, and what the stranger gets; "" is the manifest.
var strangersAsk = []struct {
	answer int // 503 is for everybody, the others are for strangers and bob
	last   string
	who    string
	held   bool
	want   oci.Code
}{
	// What is held and shown is open, whatever was known.
	{200, "unknown", "nobody", true, ""}, {200, "public", "nobody", true, ""}, {200, "private", "nobody", true, ""},
	{200, "unknown", "acme", true, ""}, {200, "public", "acme", true, ""}, {200, "private", "acme", true, ""},
	{200, "unknown", "bob", true, ""}, {200, "public", "bob", true, ""}, {200, "private", "bob", true, ""},
	// What is held and denied is private, unless it was public and nobody can read it any more: it is gone.
	{403, "unknown", "nobody", true, oci.CodeUnauthorized}, {403, "public", "nobody", true, ""}, {403, "private", "nobody", true, oci.CodeUnauthorized},
	{403, "unknown", "acme", true, oci.CodeUnauthorized}, {403, "public", "acme", true, oci.CodeUnauthorized}, {403, "private", "acme", true, oci.CodeUnauthorized},
	{403, "unknown", "bob", true, oci.CodeUnauthorized}, {403, "public", "bob", true, ""}, {403, "private", "bob", true, oci.CodeUnauthorized},
	// Where a not-found or no answer tells nothing, the last answer stands, and unknown means login.
	{404, "unknown", "nobody", true, oci.CodeUnauthorized}, {404, "public", "nobody", true, ""}, {404, "private", "nobody", true, oci.CodeUnauthorized},
	{404, "unknown", "acme", true, oci.CodeUnauthorized}, {404, "public", "acme", true, ""}, {404, "private", "acme", true, oci.CodeUnauthorized},
	{503, "unknown", "nobody", true, oci.CodeUnauthorized}, {503, "public", "nobody", true, ""}, {503, "private", "nobody", true, oci.CodeUnauthorized},
	{503, "unknown", "acme", true, oci.CodeUnauthorized}, {503, "public", "acme", true, ""}, {503, "private", "acme", true, oci.CodeUnauthorized},
	// Without a credential, what is not held is fetched as a stranger.
	{200, "unknown", "nobody", false, ""}, {200, "public", "nobody", false, ""}, {200, "private", "nobody", false, ""},
	{403, "unknown", "nobody", false, oci.CodeManifestUnknown}, {403, "public", "nobody", false, oci.CodeManifestUnknown}, {403, "private", "nobody", false, oci.CodeManifestUnknown},
	{404, "unknown", "nobody", false, oci.CodeManifestUnknown}, {404, "public", "nobody", false, oci.CodeManifestUnknown},
	{503, "unknown", "nobody", false, oci.CodeUpstreamDown}, {503, "public", "nobody", false, oci.CodeUpstreamDown},
	// With one, nothing is fetched on its account before strangers are known to be shown it.
	{200, "unknown", "acme", false, ""}, {200, "public", "acme", false, ""}, {200, "private", "acme", false, ""},
	{200, "unknown", "bob", false, ""},
	{403, "unknown", "acme", false, oci.CodeUnauthorized}, {403, "public", "acme", false, oci.CodeUnauthorized}, {403, "private", "acme", false, oci.CodeUnauthorized},
	{403, "unknown", "bob", false, oci.CodeUnauthorized}, {403, "public", "bob", false, oci.CodeManifestUnknown}, {403, "private", "bob", false, oci.CodeUnauthorized},
	{404, "unknown", "acme", false, oci.CodeManifestUnknown}, {404, "private", "acme", false, oci.CodeUnauthorized},
	{404, "unknown", "bob", false, oci.CodeManifestUnknown}, {404, "public", "bob", false, oci.CodeManifestUnknown},
	{503, "unknown", "acme", false, oci.CodeUpstreamDown}, {503, "public", "acme", false, oci.CodeUpstreamDown}, {503, "private", "acme", false, oci.CodeUnauthorized},
}

func TestAStrangerGetsWhatTheUpstreamShowsToStrangers(t *testing.T) {
	const repo = oci.Repository("plain/acme/app")
	manifest := oci.Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Content: []byte(`{"schemaVersion":2}`)}
	manifest.Digest = digest.FromBytes(manifest.Content)
	credentials := map[string][]upstream.Credential{"nobody": nil, "acme": {acme}, "bob": {bob}}
	for _, test := range strangersAsk {
		name := http.StatusText(test.answer) + ", last " + test.last + ", credential of " + test.who
		if test.held {
			name += ", held"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			registry := &plain{manifest: manifest.Content, status: func(account string) int {
				if account == "acme" && test.answer != http.StatusServiceUnavailable {
					return http.StatusOK
				}
				return test.answer
			}}
			cache := b.open("plain", registry.start(t), nil, credentials[test.who]...)
			if test.held {
				put := metadata.PutManifest{Repository: string(repo), Manifest: metadata.Manifest{Manifest: manifest}}
				if err := b.db.Manifests.Put(t.Context(), put); err != nil {
					t.Fatal(err)
				}
			}
			if test.last != "unknown" {
				if err := b.db.Repositories.SetVisibility(t.Context(), string(repo), test.last == "public", b.clock.Now().Add(-2*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			got, _, err := cache.Manifest(t.Context(), stranger, repo, oci.Reference{Digest: manifest.Digest})
			if oci.CodeOf(err) != test.want || err == nil && got.Digest != manifest.Digest {
				t.Errorf("got %q, %v; want %q", got.Content, err, test.want)
			}
			if _, _, err := cache.StatManifest(t.Context(), stranger, repo, oci.Reference{Digest: manifest.Digest}); oci.CodeOf(err) != test.want {
				t.Errorf("a HEAD got %v; want %q", err, test.want)
			}
		})
	}
}

func TestAnAnswerAboutStrangersStandsForAnHour(t *testing.T) {
	b := newBench(t)
	answer := http.StatusOK
	registry := &plain{manifest: []byte(`{"schemaVersion":2}`), status: func(account string) int {
		if account == "acme" {
			return http.StatusOK
		}
		return answer
	}}
	cache := b.open("plain", registry.start(t), nil, acme)
	manifest, _ := b.pull(cache, stranger, "plain/acme/app", "1")
	answer = http.StatusForbidden
	b.clock.Pass(59 * time.Minute)
	b.pull(cache, stranger, "plain/acme/app", manifest.Digest.String())
	b.clock.Pass(2 * time.Minute)
	_, _, err := cache.Manifest(t.Context(), stranger, "plain/acme/app", oci.Reference{Digest: manifest.Digest})
	if oci.CodeOf(err) != oci.CodeUnauthorized {
		t.Errorf("after an hour: %v", err)
	}
	b.pull(cache, alice, "plain/acme/app", manifest.Digest.String())
}

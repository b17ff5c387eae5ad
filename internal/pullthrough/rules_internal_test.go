package pullthrough

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

func TestWhenATagIsAskedForAgain(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name  string
		tried time.Time
		due   bool
	}{
		{"just now", now, false},
		{"within the TTL", now.Add(-59 * time.Second), false},
		{"the TTL ago", now.Add(-time.Minute), true},
		{"long ago", now.Add(-time.Hour), true},
		{"never", time.Time{}, true},
		{"before the clock was set back", now.Add(time.Hour), true},
	} {
		if due := (tagState{triedAt: test.tried}).due(now, time.Minute); due != test.due {
			t.Errorf("asked %s: due is %t", test.name, due)
		}
	}
}

func TestAFailedCheckCountsAsAsked(t *testing.T) {
	now := time.Now()
	state := tagState{checkedAt: now.Add(-time.Hour), triedAt: now, trouble: "it failed"}
	if state.due(now.Add(59*time.Second), time.Minute) || !state.due(now.Add(time.Minute), time.Minute) {
		t.Error("a failed check is not worth its TTL")
	}
}

func TestWhichStateOfATagPrevails(t *testing.T) {
	key := tagKey{"docker-hub/library/nginx", "latest"}
	old, moved := digest.FromString("old"), digest.FromString("moved")
	state := func(d digest.Digest, held bool) tagState {
		return tagState{Descriptor: oci.Descriptor{Digest: d}, held: held}
	}
	for _, test := range []struct {
		name string
		do   func(*tags)
		want digest.Digest
	}{
		{"a fetched manifest takes the place of a HEAD's answer", func(ts *tags) { ts.set(key, state(old, false)); ts.set(key, state(moved, true)) }, moved},
		{"a HEAD's answer that comes late does not replace what was fetched", func(ts *tags) { ts.set(key, state(moved, true)); ts.set(key, state(old, false)) }, moved},
		{"a newer HEAD takes the place of an older", func(ts *tags) { ts.set(key, state(old, false)); ts.set(key, state(moved, false)) }, moved},
		{"what an eviction has overtaken does not come back", func(ts *tags) { ts.set(key, state(old, true)); ts.evict(key); ts.set(key, state(old, true)) }, ""},
		{"what is found out after an eviction counts", func(ts *tags) {
			ts.evictManifests(key.repository, []digest.Digest{old})
			fresh, _ := ts.get(key)
			fresh.Digest = moved
			ts.set(key, fresh)
		}, moved},
		{"a state that was replaced is not forgotten with its successor", func(ts *tags) {
			ts.set(key, state(moved, true))
			ts.forget(key, state(old, true))
		}, moved},
	} {
		t.Run(test.name, func(t *testing.T) {
			ts := newTags(&metadata.Changes{})
			test.do(ts)
			if got, _ := ts.get(key); got.Digest != test.want {
				t.Errorf("the tag is %q, want %q", got.Digest, test.want)
			}
		})
	}
}

func TestEachFailureOfAnUpstreamBecomesAnErrorOfItsClass(t *testing.T) {
	codes := map[upstream.Kind]oci.Code{
		upstream.NotFound:          oci.CodeManifestUnknown,
		upstream.Denied:            oci.CodeManifestUnknown,
		upstream.CredentialRefused: oci.CodeUpstreamInvalid,
		upstream.Blocked:           oci.CodeUpstreamInvalid,
		upstream.PullLimit:         oci.CodeTooManyRequests,
		upstream.Reserved:          oci.CodeTooManyRequests,
		upstream.OverBudget:        oci.CodeTooManyRequests,
		upstream.AbuseLimit:        oci.CodeTooManyRequests,
		upstream.Timeout:           oci.CodeUpstreamTimeout,
		upstream.Invalid:           oci.CodeUpstreamInvalid,
		upstream.Unavailable:       oci.CodeUpstreamDown,
		0:                          oci.CodeUpstreamDown,
	}
	cache := New(Config{Project: "docker-hub", Title: "Docker Hub", Now: time.Now})
	defer cache.Close()
	for kind, want := range codes {
		t.Run(kind.String(), func(t *testing.T) {
			failure := &upstream.Error{
				Kind: kind, Status: 599, RetryAfter: 7 * time.Second, Upstream: "docker-hub", Message: "reading manifest", Held: &upstream.Held{},
				Err: &url.Error{Op: "Get", URL: "https://cdn.example/blob?signature=secret", Err: errors.New("no route to host")},
			}
			err := cache.refused(question{as: upstream.Any, repository: "docker-hub/library/nginx", reference: "latest"}, failure)
			refusal, ok := errors.AsType[*oci.Error](err)
			if !ok || refusal.Code != want || refusal.RetryAfter != 7*time.Second {
				t.Fatalf("got %v, want %s", err, want)
			}
			if !strings.Contains(refusal.Message, "library/nginx (latest)") || !strings.Contains(refusal.Message, "Docker Hub") {
				t.Errorf("the text does not say what was looked up where: %s", refusal.Message)
			}
			if strings.Contains(refusal.Message, "secret") || strings.Contains(cache.trouble(err), "secret") {
				t.Errorf("the text shows a signed URL: %s", refusal.Message)
			}
			if kind == upstream.Unavailable && !strings.Contains(refusal.Message, "no route to host") {
				t.Errorf("the text hides the matter: %s", refusal.Message)
			}
			if !errors.Is(err, failure) {
				t.Error("the cause is not in the chain")
			}
		})
	}
}

func TestAnErrorSaysWhatWasAskedWhatHappenedAndWhatToDo(t *testing.T) {
	cache := New(Config{Project: "docker-hub", Title: "Docker Hub", Now: time.Now})
	defer cache.Close()
	for _, test := range []struct {
		name    string
		failure *upstream.Error
		want    string
	}{
		{
			"nobody listens", &upstream.Error{Kind: upstream.Unavailable, Message: "listing tags of library/nginx", Err: fmt.Errorf("dial: %w", errors.New("connection refused"))},
			"Docker Hub cannot be reached or is failing, and library/nginx (its tags) is not in the cache: connection refused. Try again later",
		},
		{
			"an answer that is no JSON", &upstream.Error{Kind: upstream.Invalid, Message: "listing tags of library/nginx", Err: errors.New("invalid character '<'")},
			"Docker Hub answered for library/nginx (its tags) with something that cannot be used: listing tags of library/nginx: invalid character '<'",
		},
		{
			"a status that means nothing here", &upstream.Error{Kind: upstream.Invalid, Message: "listing tags of library/nginx: the upstream answered 418"},
			"Docker Hub answered for library/nginx (its tags) with something that cannot be used: listing tags of library/nginx: the upstream answered 418",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := cache.refused(question{as: upstream.Any, repository: "docker-hub/library/nginx", reference: tagsReference}, test.failure)
			refusal, ok := errors.AsType[*oci.Error](err)
			if !ok {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, refusal.Message); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFailuresThatAreNotTheUpstreamsPassAsTheyAre(t *testing.T) {
	cache := New(Config{Now: time.Now})
	defer cache.Close()
	ours := errors.New("the disk is full")
	if got := cache.refused(question{}, ours); !errors.Is(got, ours) || oci.CodeOf(got) != "" {
		t.Errorf("got %v", got)
	}
}

func TestOnlyReferrersOfTheTypeAskedForAreListed(t *testing.T) {
	const listed = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
		{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:aa","size":1,"artifactType":"signature","annotations":{"a":"b"}},
		{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:bb","size":2,"artifactType":"bill"},
		{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:cc","size":3}]}`
	for _, test := range []struct {
		name, content, artifactType string
		want                        []digest.Digest
	}{
		{"all when no type is asked for", listed, "", []digest.Digest{"sha256:aa", "sha256:bb", "sha256:cc"}},
		{"one type", listed, "bill", []digest.Digest{"sha256:bb"}},
		{"a type that nothing has", listed, "other", nil},
		{"nothing at all", `{}`, "", nil},
		{"no object", `null`, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			filtered, err := filterReferrers([]byte(test.content), test.artifactType)
			if err != nil {
				t.Fatal(err)
			}
			var index v1.Index
			if err := json.Unmarshal(filtered, &index); err != nil {
				t.Fatal(err)
			}
			var got []digest.Digest
			for _, m := range index.Manifests {
				got = append(got, m.Digest)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if index.MediaType != v1.MediaTypeImageIndex || index.SchemaVersion != 2 || index.Manifests == nil {
				t.Errorf("it is no index: %s", filtered)
			}
		})
	}
}

func FuzzFilterReferrers(f *testing.F) {
	f.Add([]byte(`{"manifests":[{"digest":"sha256:aa","artifactType":"signature"},{}]}`), "signature")
	f.Add([]byte(`{"manifests":null,"subject":{}}`), "")
	f.Add([]byte(`[]`), "x")
	f.Fuzz(func(t *testing.T, content []byte, artifactType string) {
		filtered, err := filterReferrers(content, artifactType)
		if err != nil {
			if oci.CodeOf(err) != oci.CodeUpstreamInvalid {
				t.Fatalf("an unreadable list is not called so: %v", err)
			}
			return
		}
		var index v1.Index
		if err := json.Unmarshal(filtered, &index); err != nil || index.MediaType != v1.MediaTypeImageIndex || index.Manifests == nil {
			t.Fatalf("%q became %q, %v", content, filtered, err)
		}
		again, err := filterReferrers(filtered, artifactType)
		if diff := cmp.Diff(string(filtered), string(again)); err != nil || diff != "" {
			t.Fatalf("filtering twice is not filtering once: %v\n%s", err, diff)
		}
	})
}

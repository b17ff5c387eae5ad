package gc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// shop is a registry whose clock of retention can be ahead.
type shop struct {
	*gc.Retention
	t      *testing.T
	hosted *registry.Registry
	later  time.Duration
}

func newShop(t *testing.T) *shop {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	files, err := blob.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, hosted: registry.New(registry.Config{DB: db, Blobs: files})}
	s.Retention = &gc.Retention{DB: db, Retirer: s.hosted, Now: func() time.Time { return time.Now().Add(s.later) }}
	if err := s.hosted.EnsureProject(t.Context(), "demo", "alice"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// push pushes a manifest without blobs; one that lists others is an index.
func (s *shop) push(repo oci.Repository, text, tag string, children ...digest.Digest) digest.Digest {
	s.t.Helper()
	index := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Annotations: map[string]string{"text": text}, Manifests: []v1.Descriptor{},
	}
	for _, d := range children {
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageIndex, Digest: d, Size: 1})
	}
	content, err := json.Marshal(index)
	s.must(err)
	d := digest.FromBytes(content)
	reference := oci.Reference{Digest: d}
	if tag != "" {
		reference = oci.Reference{Tag: tag}
	}
	_, err = s.hosted.PutManifest(s.t.Context(), repo, registry.ManifestPush{Reference: reference, MediaType: v1.MediaTypeImageIndex, Content: content, Actor: "alice"})
	s.must(err)
	return d
}

func (s *shop) rule(project, rules string) {
	s.t.Helper()
	s.must(s.DB.Retentions.Set(s.t.Context(), metadata.Retention{Project: project, Rules: rules, UpdatedAt: time.Now(), Actor: "alice"}))
}

// run fails unless this much is retired.
func (s *shop) run(want gc.Retired) {
	s.t.Helper()
	got, err := s.Run(s.t.Context())
	s.must(err)
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("retired (-want +got):\n%s", diff)
	}
}

func (s *shop) has(repo oci.Repository, d digest.Digest) bool {
	s.t.Helper()
	_, _, err := s.hosted.Manifest(s.t.Context(), oci.Caller{}, repo, oci.Reference{Digest: d})
	if err != nil && oci.CodeOf(err) != oci.CodeManifestUnknown {
		s.t.Fatal(err)
	}
	return err == nil
}

func (s *shop) tags(repo oci.Repository) []string {
	s.t.Helper()
	all, err := s.DB.Tags.List(s.t.Context(), repo.String(), "", 100)
	s.must(err)
	return all
}

const shelf = oci.Repository("demo/shelf")

func TestRetentionRetiresTagsFirstAndTheirManifestsWhenTheirTimeHasCome(t *testing.T) {
	s := newShop(t)
	child := s.push(shelf, "child", "")
	old := s.push(shelf, "old", "v1", child)
	last := s.push(shelf, "last", "v2")
	if !s.has(shelf, old) { // from now on it is in memory
		t.Fatal("the old manifest is not there")
	}
	s.run(gc.Retired{})
	s.rule("demo", `{"keepLast":1,"untaggedAfter":"7d"}`)
	s.run(gc.Retired{Projects: 1}) // all of it is of today

	s.later = 2 * 24 * time.Hour
	s.run(gc.Retired{Projects: 1, Tags: 1})
	if diff := cmp.Diff([]string{"v2"}, s.tags(shelf)); diff != "" {
		t.Fatalf("tags (-want +got):\n%s", diff)
	}
	if _, _, err := s.hosted.Manifest(t.Context(), oci.Caller{}, shelf, oci.Reference{Tag: "v1"}); oci.CodeOf(err) != oci.CodeManifestUnknown {
		t.Errorf("the retired tag is answered with %v", err)
	}
	moves, err := s.DB.Tags.History(t.Context(), shelf.String(), "v1", 1)
	if err != nil || moves[0].Actor != "retention" {
		t.Errorf("the history says %+v, %v", moves, err)
	}

	s.later = 6 * 24 * time.Hour
	s.run(gc.Retired{Projects: 1})
	s.later = 8 * 24 * time.Hour
	s.run(gc.Retired{Projects: 1, Manifests: 2})
	if s.has(shelf, old) || s.has(shelf, child) || !s.has(shelf, last) {
		t.Error("other manifests are there than should be")
	}
}

func TestAProjectWithoutRulesKeepsEverything(t *testing.T) {
	s := newShop(t)
	s.must(s.hosted.EnsureProject(t.Context(), "other", "alice"))
	s.push("other/app", "old", "v1")
	s.push("other/app", "older", "v1")
	s.push("demo/app", "one", "v1")
	s.rule("demo", `{"keepMatching":["x"],"untaggedAfter":"1d"}`)
	s.later = 1000 * 24 * time.Hour
	s.run(gc.Retired{Projects: 1, Tags: 1})
}

// meddler is a Retirer that lets something happen before the first removal.
type meddler struct {
	*registry.Registry
	meddle func()
}

func (m *meddler) RetireTag(ctx context.Context, repo oci.Repository, t metadata.Tag) (bool, error) {
	m.once()
	return m.Registry.RetireTag(ctx, repo, t)
}

func (m *meddler) RetireManifest(ctx context.Context, repo oci.Repository, l metadata.ManifestLink) (bool, error) {
	m.once()
	return m.Registry.RetireManifest(ctx, repo, l)
}

func (m *meddler) once() {
	if m.meddle != nil {
		m.meddle()
		m.meddle = nil
	}
}

func TestWhatIsPushedWhileRetentionRunsStays(t *testing.T) {
	var child, index digest.Digest
	for name, tt := range map[string]struct {
		meddle func(s *shop)
		want   gc.Retired
	}{
		"nothing happens": {func(*shop) {}, gc.Retired{Projects: 1, Manifests: 2}},
		"another index is pushed over the same platform": {
			func(s *shop) { s.push(shelf, "another", "v1", child) }, gc.Retired{Projects: 1, Manifests: 1, Changed: 1},
		},
		"the index gets a tag": {
			func(s *shop) { s.must(s.DB.Tags.Set(s.t.Context(), shelf.String(), "v1", index, time.Time{}, "alice")) },
			gc.Retired{Projects: 1, Changed: 1},
		},
		"the index is pulled": {
			func(s *shop) {
				s.must(s.DB.Manifests.Pulled(s.t.Context(), []metadata.Pull{{Repository: shelf.String(), Digest: index, At: time.Now()}}))
			},
			gc.Retired{Projects: 1, Changed: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			child = s.push(shelf, "child", "")
			index = s.push(shelf, "index", "", child)
			s.rule("demo", `{"untaggedAfter":"7d"}`)
			s.later = 8 * 24 * time.Hour
			s.Retirer = &meddler{s.hosted, func() { tt.meddle(s) }}
			s.run(tt.want)
			if kept := s.has(shelf, child); kept != (name != "nothing happens") {
				t.Errorf("the platform is there: %v", kept)
			}
		})
	}
}

func TestAnErrorWhileReadingLeavesEverything(t *testing.T) {
	s := newShop(t)
	s.push("demo/app", "one", "v1")
	s.rule("demo", `{"keepMatching":["x"]}`)
	s.must(s.hosted.EnsureProject(t.Context(), "later", "alice"))
	s.rule("later", `{"keepTheLot":true}`)
	s.later = 8 * 24 * time.Hour
	if _, err := s.Run(t.Context()); err == nil {
		t.Error("rules that cannot be read are no error")
	}
	if diff := cmp.Diff([]string{"v1"}, s.tags("demo/app")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// brokenRetirer fails.
type brokenRetirer struct{ *registry.Registry }

var errDisk = errors.New("no disk")

func (brokenRetirer) RetireTag(context.Context, oci.Repository, metadata.Tag) (bool, error) {
	return false, errDisk
}

func TestAnErrorWhileRemovingIsToldWithItsRepository(t *testing.T) {
	s := newShop(t)
	s.push("demo/app", "one", "v1")
	s.rule("demo", `{"keepMatching":["x"]}`)
	s.later = 8 * 24 * time.Hour
	s.Retirer = brokenRetirer{s.hosted}
	if _, err := s.Run(t.Context()); !errors.Is(err, errDisk) || fmt.Sprint(err) != "retiring from demo/app: no disk" {
		t.Errorf("got the error %v", err)
	}
}

func TestAPreviewTellsAllInPagesAndRemovesNothing(t *testing.T) {
	s := newShop(t)
	child := s.push("demo/a", "child", "")
	index := s.push("demo/a", "index", "v1", child)
	s.push("demo/b", "loose", "")
	s.push("demo/c", "one", "v1")
	s.later = 8 * 24 * time.Hour
	rules := gc.Rules{KeepMatching: []string{"x"}, UntaggedAfter: 24 * time.Hour}
	whole, next, err := s.Preview(t.Context(), "demo", rules, gc.Cursor{}, 100)
	if err != nil || next != nil || len(whole) != 4 {
		t.Fatalf("%d verdicts, then %v, %v", len(whole), next, err)
	}
	goes := map[string]bool{}
	for _, v := range whole {
		goes[v.Repository.String()+":"+v.Tag] = v.Goes
	}
	want := map[string]bool{"demo/a:v1": true, "demo/a:": false, "demo/b:": true, "demo/c:v1": true}
	if diff := cmp.Diff(want, goes); diff != "" {
		t.Errorf("what goes (-want +got):\n%s", diff)
	}
	var paged []gc.Previewed
	for from := (&gc.Cursor{}); from != nil; {
		var page []gc.Previewed
		page, from, err = s.Preview(t.Context(), "demo", rules, *from, 1)
		s.must(err)
		paged = append(paged, page...)
	}
	if diff := cmp.Diff(fmt.Sprint(whole), fmt.Sprint(paged)); diff != "" {
		t.Errorf("in pages (-want +got):\n%s", diff)
	}
	if !s.has("demo/a", index) || whole[0].Size <= int64(len(child)) {
		t.Errorf("after the preview: %+v", whole[0])
	}
}

package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

// cached stores a blob as a fill of a cache does.
func (h *house) cached(repo oci.Repository, content []byte) digest.Digest {
	h.t.Helper()
	project := metadata.Project{Name: repo.Project(), Kind: metadata.Cache}
	if err := h.db.Projects.Ensure(h.t.Context(), project); err != nil {
		h.t.Fatal(err)
	}
	return h.pushBlob(repo, content)
}

// repairs runs a check that repairs, and expects how each finding was mended.
func (h *house) repairs(refetch func(context.Context, oci.Repository, digest.Digest) error, want ...string) {
	h.t.Helper()
	found, _ := h.check(registry.Fsck{Repair: true, Refetch: refetch})
	var got []string
	for _, f := range found {
		got = append(got, f.Repaired)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("how the findings were mended (-want +got):\n%s", diff)
	}
}

func (h *house) countsDamaged(want int64) {
	h.t.Helper()
	if got, err := h.db.Damaged.Count(h.t.Context()); err != nil || got != want {
		h.t.Errorf("%d blobs are damaged, %v; want %d", got, err, want)
	}
}

func TestARepairFetchesADamagedCachedBlobAnewThroughTheCacheThatGivesIt(t *testing.T) {
	h := newHouse(t)
	content := random(t, small)
	d := h.cached("hub/app", content)
	h.cached("hub/other", content)
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	var asked []oci.Repository
	h.repairs(func(_ context.Context, repo oci.Repository, _ digest.Digest) error {
		if asked = append(asked, repo); repo == "hub/app" {
			return errors.New("it is gone there")
		}
		h.pushBlob(repo, content)
		return nil
	}, "it was fetched anew through hub/other")
	if diff := cmp.Diff([]oci.Repository{"hub/app", "hub/other"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	h.pulls("hub/app", content)
	h.finds("afterwards")
}

func TestOnlyARepairFetchesAnything(t *testing.T) {
	h := newHouse(t)
	d := h.cached("hub/app", random(t, small))
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	found, _ := h.check(registry.Fsck{Refetch: func(context.Context, oci.Repository, digest.Digest) error {
		t.Error("a check fetches a blob")
		return nil
	}})
	if len(found) != 1 || found[0].Repaired != "" {
		t.Errorf("found %+v", found)
	}
}

func TestARepairFetchesAPushedBlobThroughACacheThatHasItToo(t *testing.T) {
	h := newHouse(t)
	content := random(t, small)
	d := h.pushBlob(app, content)
	h.cached("hub/app", content)
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	h.repairs(func(context.Context, oci.Repository, digest.Digest) error { return errors.New("the upstream is away") }, "")
	h.countsDamaged(1)
	h.repairs(func(_ context.Context, repo oci.Repository, _ digest.Digest) error {
		h.pushBlob(repo, content)
		return nil
	}, "it was fetched anew through hub/app")
	h.countsDamaged(0)
	h.pulls(app, content)
}

func TestARepairTakesBackWhatIsGoodAgain(t *testing.T) {
	tests := []struct {
		name string
		mend func(at, aside string, content []byte) error
		want string
	}{
		{"nothing has changed", func(_, _ string, _ []byte) error { return nil }, ""},
		{"other bytes were put where they were", func(at, _ string, content []byte) error {
			return os.WriteFile(at, make([]byte, len(content)), 0o600)
		}, ""},
		{"the good bytes were put where they were", func(at, _ string, content []byte) error {
			return os.WriteFile(at, content, 0o600)
		}, "its bytes in storage are good again"},
		{"what was set aside is good again", func(_, aside string, content []byte) error {
			return os.WriteFile(aside, content, 0o600)
		}, "the bytes that were set aside are good again"},
		{"what was set aside is gone", func(_, aside string, _ []byte) error {
			return os.Remove(aside)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			content := random(t, small)
			d := h.pushBlob(app, content)
			at := h.file(d)
			if err := flip(at); err != nil {
				t.Fatal(err)
			}
			h.repairs(nil, "")
			h.countsDamaged(1)
			if err := tt.mend(at, filepath.Join(h.dir, "storage", "damaged", d.Encoded()), content); err != nil {
				t.Fatal(err)
			}
			h.repairs(nil, tt.want)
			if tt.want == "" {
				h.countsDamaged(1)
				return
			}
			h.countsDamaged(0)
			h.pulls(app, content)
			h.finds("afterwards")
		})
	}
}

func TestAPushEndsThatABlobIsDamaged(t *testing.T) {
	h := newHouse(t)
	content := random(t, small)
	d := h.pushBlob(app, content)
	if err := flip(h.file(d)); err != nil {
		t.Fatal(err)
	}
	h.repairs(nil, "")
	h.countsDamaged(1)
	h.pushBlob(other, content)
	h.countsDamaged(0)
	h.pulls(app, content)
}

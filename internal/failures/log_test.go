package failures

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// house is a Log over a real database, with a clock of its own.
type house struct {
	*Log
	t   *testing.T
	now time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	h := &house{t: t, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	h.Log = New(db.Failures, func() time.Time { return h.now }, slog.New(slog.DiscardHandler))
	return h
}

func (h *house) get(id string) metadata.Failure {
	h.t.Helper()
	f, err := h.Get(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

func pulled(reference string) metadata.Failure {
	return metadata.Failure{Repository: "docker-hub/library/nginx", Asked: "docker-hub/nginx", Kind: "manifest", Reference: reference, Client: "192.0.2.7", Rule: "upstream", Code: "TOOMANYREQUESTS", Status: 429}
}

func TestAThousandRetriesAreOneFailureWithACount(t *testing.T) {
	h := newHouse(t)
	first := h.Note(pulled("latest"))
	began := h.now
	for i := range 999 {
		h.now = h.now.Add(time.Second)
		again := pulled("latest")
		again.Client = fmt.Sprintf("192.0.2.%d", i%250)
		if id := h.Note(again); id != first {
			t.Fatalf("retry %d is %s, want %s", i, id, first)
		}
	}
	want := pulled("latest")
	want.ID, want.FirstAt, want.LastAt, want.Count = first, began, h.now, 1000
	if diff := cmp.Diff(want, h.get(first)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	all, err := h.List(t.Context(), 10)
	if err != nil || len(all) != 1 {
		t.Errorf("%d failures are kept, %v", len(all), err)
	}
}

func TestAnotherFailureHasAnotherID(t *testing.T) {
	h := newHouse(t)
	seen := map[string]string{h.Note(pulled("latest")): "the first"}
	for name, change := range map[string]func(*metadata.Failure){
		"of another tag":                    func(f *metadata.Failure) { f.Reference = "1.27" },
		"of another user":                   func(f *metadata.Failure) { f.User = "alice" },
		"by another rule":                   func(f *metadata.Failure) { f.Rule = "remembered" },
		"that the upstream meant otherwise": func(f *metadata.Failure) { f.UpstreamStatus = 503 },
	} {
		f := pulled("latest")
		change(&f)
		id := h.Note(f)
		if !regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{8}$`).MatchString(id) || seen[id] != "" {
			t.Errorf("one %s is %q, like %s", name, id, seen[id])
		}
		seen[id] = name
	}
	h.now = h.now.Add(sameWithin)
	if id := h.Note(pulled("latest")); seen[id] != "" {
		t.Error("one that came again much later is the same")
	}
}

func TestWhoMakesUpFailuresDoesNotPushOutThoseOfOthers(t *testing.T) {
	h := newHouse(t)
	kept := 0
	for i := range 1000 {
		if h.Note(pulled(fmt.Sprintf("made-up-%d", i))) != "" {
			kept++
		}
	}
	if kept != 100 {
		t.Errorf("%d of 1000 at once are kept", kept)
	}
	other := pulled("latest")
	other.Client = "192.0.2.8"
	if h.Note(other) == "" {
		t.Error("somebody else's is not kept")
	}
	h.now = h.now.Add(6 * time.Second)
	if h.Note(pulled("later")) == "" || h.Note(pulled("too-soon")) != "" {
		t.Error("after six seconds there is not one more")
	}
}

func TestAnIDIsFoundAsPeopleTypeIt(t *testing.T) {
	h := newHouse(t)
	id := h.Note(pulled("latest"))
	typed := strings.ToLower(strings.NewReplacer("0", "o", "1", "l").Replace(id))
	if got := h.get(typed[:4] + "-" + typed[4:]); got.ID != id {
		t.Errorf("%s finds %s, want %s", typed, got.ID, id)
	}
	if _, err := h.Get(t.Context(), "NONESUCH"); !errors.Is(err, metadata.ErrNotFound) {
		t.Errorf("an id that nobody was given: %v", err)
	}
}

func TestOldFailuresAreForgotten(t *testing.T) {
	h := newHouse(t)
	old := h.Note(pulled("old"))
	h.now = h.now.Add(time.Hour)
	young := h.Note(pulled("young"))
	h.get(old)
	h.now = h.now.Add(Kept - time.Minute)
	if err := h.Shorten(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(t.Context(), old); !errors.Is(err, metadata.ErrNotFound) {
		t.Errorf("an old one is still there: %v", err)
	}
	h.get(young)
}

func TestAnErrorTellsWhatDecidedIt(t *testing.T) {
	failure := &upstream.Error{Kind: upstream.PullLimit, Status: 429, Credential: "acme", Message: "no pulls are left"}
	told := metadata.Failure{Rule: "upstream", Credential: "acme", UpstreamKind: "pull limit", UpstreamStatus: 429, UpstreamText: "no pulls are left"}
	remembered := told
	remembered.Rule = "remembered"
	for name, test := range map[string]struct {
		err  error
		want metadata.Failure
	}{
		"the upstream":       {fmt.Errorf("wrapped: %w", &oci.Error{Message: "no", Err: failure}), told},
		"what it said":       {&oci.Error{Message: "no", Err: failure, Rule: oci.RuleRemembered}, remembered},
		"the operator":       {&oci.Error{Rule: oci.RuleLists}, metadata.Failure{Rule: "allow-deny"}},
		"who was in a hurry": {fmt.Errorf("asking: %w", context.DeadlineExceeded), metadata.Failure{Rule: "patience"}},
		"the registry":       {errors.New("the disk is full"), metadata.Failure{Rule: "registry"}},
	} {
		if diff := cmp.Diff(test.want, Caused(test.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

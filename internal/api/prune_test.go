package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/telemetry"
)

// litter is a Collector that always finds the same.
type litter struct {
	removed bool
	keep    time.Duration
	err     error // after what it finds
	none    bool  // it finds nothing
}

func (l *litter) Preview(_ context.Context, o gc.Options) (gc.Summary, error) {
	l.keep = o.KeepYoungerThan
	if l.none {
		return gc.Summary{}, l.err
	}
	return gc.Summary{Links: 1, Blobs: 1, Orphans: 1, Bytes: 12}, errors.Join(
		o.Each(gc.Item{Kind: gc.Link, Repository: "demo/app", Digest: digest.FromString("a")}),
		o.Each(gc.Item{Kind: gc.Blob, Digest: digest.FromString("a"), Size: 7}),
		o.Each(gc.Item{Kind: gc.Orphan, Key: "k", Size: 5}), l.err)
}

func (l *litter) Collect(ctx context.Context, o gc.Options) (gc.Summary, error) {
	l.removed = true
	return l.Preview(ctx, o)
}

// newPruneFixture is the API of a registry with litter.
func newPruneFixture(t *testing.T) (*fixture, *litter) {
	t.Helper()
	f, l := newFixture(t), &litter{}
	f.handler = New(Config{Authenticator: f.authn, Authorizer: f.roles, Projects: f.db.Projects, Collector: l, Address: telemetry.NewClientAddress(nil).Of})
	return f, l
}

func wantLines(t *testing.T, got string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func found() []string {
	d := digest.FromString("a").String()
	return []string{
		`{"item":{"kind":"link","repository":"demo/app","digest":"` + d + `","size":0}}`,
		`{"item":{"kind":"blob","digest":"` + d + `","size":7}}`,
		`{"item":{"kind":"orphan","key":"k","size":5}}`,
	}
}

func TestWhatNothingRefersToIsListedAndOnConfirmationRemoved(t *testing.T) {
	for _, confirm := range []bool{false, true} {
		t.Run(fmt.Sprintf("confirm is %v", confirm), func(t *testing.T) {
			f, l := newPruneFixture(t)
			w := f.do(admin, "POST", "/api/v1/prune", fmt.Sprintf(`{"confirm":%v,"keepYoungerThanSeconds":90000}`, confirm))
			f.want(w, 200, nil)
			wantLines(t, w.Body.String(), append(found(), fmt.Sprintf(`{"summary":{"removed":%v,"links":1,"blobs":1,"orphans":1,"bytes":12}}`, confirm))...)
			if got := w.Header().Get("Content-Type"); got != "application/jsonl" {
				t.Errorf("Content-Type = %q", got)
			}
			if l.removed != confirm || l.keep != 25*time.Hour {
				t.Errorf("removed: %v, kept what is younger than %s", l.removed, l.keep)
			}
		})
	}
}

func TestAnErrorEndsTheListAndIsForTheLog(t *testing.T) {
	f, l := newPruneFixture(t)
	l.err = errors.New("a secret of the disk")
	w := f.do(admin, "POST", "/api/v1/prune", `{}`)
	f.want(w, 200, nil)
	wantLines(t, w.Body.String(), append(found(), `{"error":"the request failed for a reason that lies in the registry: try again; the registry's log tells its administrator more"}`)...)
	l.none = true
	f.wantProblem(f.do(admin, "POST", "/api/v1/prune", `{}`), 500, "a reason that lies in the registry")
}

func TestWhatCannotBePrunedNowIsRefused(t *testing.T) {
	f, l := newPruneFixture(t)
	f.wantProblem(f.do(nobody, "POST", "/api/v1/prune", `{"confirm":true}`), 401)
	f.wantProblem(f.do(f.bob(), "POST", "/api/v1/prune", `{"confirm":true}`), 403, "bob has no right to delete images in all projects")
	f.wantProblem(f.do(admin, "POST", "/api/v1/prune", `{"keepYoungerThanSeconds":-1}`), 422)
	if l.removed {
		t.Error("something was removed")
	}
	l.none, l.err = true, fmt.Errorf("%w: a lease", gc.ErrBusy)
	f.wantProblem(f.do(admin, "POST", "/api/v1/prune", `{"confirm":true}`), 409, "nothing was removed: a backup or another collection is running")
}

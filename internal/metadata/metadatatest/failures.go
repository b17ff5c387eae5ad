package metadatatest

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// failure is a pull of alice that the upstream's limit has refused, unless it is changed.
func failure(id string, changes ...func(*metadata.Failure)) metadata.Failure {
	f := metadata.Failure{
		ID: id, FirstAt: noon, LastAt: noon, Count: 1, Repository: "hub/library/nginx", Asked: "hub/nginx", Kind: "manifest", Reference: "latest",
		User: "alice", Client: "192.0.2.7", Rule: "upstream", Code: "TOOMANYREQUESTS", Status: 429, Message: "no pulls are left",
		Credential: "acme", UpstreamKind: "pull limit", UpstreamStatus: 429, UpstreamText: "too many",
	}
	for _, change := range changes {
		change(&f)
	}
	return f
}

func happening(d time.Duration) func(*metadata.Failure) {
	return func(f *metadata.Failure) { f.FirstAt, f.LastAt = noon.Add(d), noon.Add(d) }
}

func failures(t *testing.T, open func(t *testing.T) *metadata.DB) {
	ids := func(all []metadata.Failure) []string {
		var found []string
		for _, f := range all {
			found = append(found, f.ID)
		}
		return found
	}
	all := func(t *testing.T, db *metadata.DB) []string {
		t.Helper()
		return ids(must[[]metadata.Failure](t)(db.Failures.List(t.Context(), many)))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a failure is read as it was noted": func(t *testing.T, db *metadata.DB) {
			stale := failure("B", func(f *metadata.Failure) {
				f.User, f.Code, f.Status, f.Digest, f.Age = "", "", 0, "sha256:1f", 90*time.Second
			})
			ok(t, db.Failures.Note(t.Context(), nil))
			ok(t, db.Failures.Note(t.Context(), []metadata.Failure{failure("A"), stale}))
			same(t, failure("A"), must[metadata.Failure](t)(db.Failures.Get(t.Context(), "A")))
			same(t, stale, must[metadata.Failure](t)(db.Failures.Get(t.Context(), "B")))
			notFound(t, second(db.Failures.Get(t.Context(), "C")))
		},
		"a failure that comes again is counted": func(t *testing.T, db *metadata.DB) {
			again := failure("A", happening(time.Minute), func(f *metadata.Failure) { f.Count, f.UpstreamText = 3, "still too many" })
			ok(t, db.Failures.Note(t.Context(), []metadata.Failure{failure("A"), again}))
			ok(t, db.Failures.Note(t.Context(), []metadata.Failure{again}))
			want := failure("A", func(f *metadata.Failure) {
				f.Count, f.LastAt, f.UpstreamText = 7, noon.Add(time.Minute), "still too many"
			})
			same(t, want, must[metadata.Failure](t)(db.Failures.Get(t.Context(), "A")))
		},
		"failures are listed from the newest on, of all or of a user": func(t *testing.T, db *metadata.DB) {
			ofBob := func(f *metadata.Failure) { f.User = "bob" }
			ok(t, db.Failures.Note(t.Context(), []metadata.Failure{failure("A"), failure("B", happening(time.Minute)), failure("C", happening(time.Hour), ofBob)}))
			same(t, []string{"C", "B", "A"}, all(t, db))
			same(t, []string{"C", "B"}, ids(must[[]metadata.Failure](t)(db.Failures.List(t.Context(), 2))))
			same(t, []string{"B", "A"}, ids(must[[]metadata.Failure](t)(db.Failures.ListOf(t.Context(), "alice", many))))
			same(t, []string{"B"}, ids(must[[]metadata.Failure](t)(db.Failures.ListOf(t.Context(), "alice", 1))))
		},
		"old failures are deleted, and those that are too many": func(t *testing.T, db *metadata.DB) {
			for i, id := range []string{"A", "B", "C", "D", "E"} {
				ok(t, db.Failures.Note(t.Context(), []metadata.Failure{failure(id, happening(time.Duration(i)*time.Minute))}))
			}
			deleted := func(before time.Time, keep, limit int) int64 {
				return must[int64](t)(db.Failures.DeleteBefore(t.Context(), before, keep, limit))
			}
			same(t, 1, deleted(noon.Add(2*time.Minute), many, 1))
			same(t, []string{"E", "D", "C", "B"}, all(t, db))
			same(t, 2, deleted(noon.Add(2*time.Minute), 2, many))
			same(t, []string{"E", "D"}, all(t, db))
			same(t, 0, deleted(noon, 2, many))
		},
	})
}

package metadatatest

import (
	"errors"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func credentials(t *testing.T, open func(t *testing.T) *metadata.DB) {
	of := func(project, username, sealed string, at time.Time) metadata.UpstreamCredential {
		return metadata.UpstreamCredential{
			Upstream: "hub", Project: project, Username: username, Sealed: []byte(sealed), Creator: "alice", CreatedAt: at, UpdatedAt: at,
		}
	}
	all := func(t *testing.T, db *metadata.DB) []metadata.UpstreamCredential {
		t.Helper()
		return must[[]metadata.UpstreamCredential](t)(db.Credentials.All(t.Context()))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"one of a project and one for everybody are two": func(t *testing.T, db *metadata.DB) {
			same(t, true, must[bool](t)(db.Credentials.Put(t.Context(), of("demo", "acme", "one", noon), 5)))
			same(t, true, must[bool](t)(db.Credentials.Put(t.Context(), of("", "acme", "two", noon), 5)))
			same(t, []metadata.UpstreamCredential{of("", "acme", "two", noon), of("demo", "acme", "one", noon)}, all(t, db))
			ok(t, db.Credentials.Delete(t.Context(), "hub", "", "acme"))
			same(t, []metadata.UpstreamCredential{of("demo", "acme", "one", noon)}, all(t, db))
			notFound(t, db.Credentials.Delete(t.Context(), "hub", "", "acme"))
		},
		"a password is changed in place": func(t *testing.T, db *metadata.DB) {
			must[bool](t)(db.Credentials.Put(t.Context(), of("demo", "acme", "one", noon), 1))
			later := of("demo", "acme", "two", noon.Add(time.Hour))
			later.Creator = "bob"
			same(t, false, must[bool](t)(db.Credentials.Put(t.Context(), later, 1)))
			later.Creator, later.CreatedAt = "alice", noon
			same(t, []metadata.UpstreamCredential{later}, all(t, db))
		},
		"there are not more than may be": func(t *testing.T, db *metadata.DB) {
			must[bool](t)(db.Credentials.Put(t.Context(), of("demo", "one", "x", noon), 1))
			if _, err := db.Credentials.Put(t.Context(), of("demo", "two", "x", noon), 1); !errors.Is(err, metadata.ErrTooMany) {
				t.Fatalf("got the error %v, want %v", err, metadata.ErrTooMany)
			}
			must[bool](t)(db.Credentials.Put(t.Context(), of("", "two", "x", noon), 1))
			same(t, 2, len(all(t, db)))
		},
		"they go with their project, and need one": func(t *testing.T, db *metadata.DB) {
			must[bool](t)(db.Credentials.Put(t.Context(), of("demo", "acme", "x", noon), 5))
			must[bool](t)(db.Credentials.Put(t.Context(), of("", "acme", "x", noon), 5))
			must[metadata.Removed](t)(db.Projects.Delete(t.Context(), "demo"))
			same(t, []metadata.UpstreamCredential{of("", "acme", "x", noon)}, all(t, db))
			notFound(t, second(db.Credentials.Put(t.Context(), of("demo", "acme", "x", noon), 5)))
		},
		"each change makes a mark": func(t *testing.T, db *metadata.DB) {
			marks := map[metadata.Mark]bool{db.Changes.Credentials(): true}
			must[bool](t)(db.Credentials.Put(t.Context(), of("demo", "acme", "x", noon), 5))
			marks[db.Changes.Credentials()] = true
			ok(t, db.Credentials.Delete(t.Context(), "hub", "demo", "acme"))
			marks[db.Changes.Credentials()] = true
			must[metadata.Removed](t)(db.Projects.Delete(t.Context(), "demo"))
			marks[db.Changes.Credentials()] = true
			same(t, 4, len(marks))
		},
	})
}

func audiences(t *testing.T, open func(t *testing.T) *metadata.DB) {
	all := func(t *testing.T, db *metadata.DB, repository string) []metadata.Audience {
		t.Helper()
		return must[[]metadata.Audience](t)(db.Repositories.Audiences(t.Context(), repository))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"the last answer of each audience is kept": func(t *testing.T, db *metadata.DB) {
			same(t, 0, len(all(t, db, "hub/acme/app")))
			demo := metadata.Audience{Name: "demo", Shown: true, CheckedAt: noon}
			shared := metadata.Audience{Name: "*", CheckedAt: noon}
			for _, a := range []metadata.Audience{{Name: "demo", CheckedAt: noon.Add(-time.Hour)}, demo, shared} {
				ok(t, db.Repositories.SetAudience(t.Context(), "hub/acme/app", a))
			}
			same(t, []metadata.Audience{shared, demo}, all(t, db, "hub/acme/app"))
			same(t, 0, len(all(t, db, "hub/acme/other")))
		},
		"they go with the repository": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Repositories.SetAudience(t.Context(), "hub/acme/app", metadata.Audience{Name: "demo", Shown: true, CheckedAt: noon}))
			must[metadata.Removed](t)(db.Repositories.Delete(t.Context(), metadata.Deletion{Repository: "hub/acme/app"}))
			same(t, 0, len(all(t, db, "hub/acme/app")))
			notFound(t, db.Repositories.SetAudience(t.Context(), "none/app", metadata.Audience{Name: "demo", CheckedAt: noon}))
		},
	})
}

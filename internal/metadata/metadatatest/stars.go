package metadatatest

import (
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
)

func stars(t *testing.T, open func(t *testing.T) *metadata.DB) {
	names := func(t *testing.T, db *metadata.DB, user, after string, limit int) []string {
		t.Helper()
		found := []string{}
		for _, r := range must[[]metadata.Repository](t)(db.Stars.Of(t.Context(), user, after, limit)) {
			found = append(found, r.Name)
		}
		return found
	}
	starred := func(t *testing.T, db *metadata.DB, name string) int {
		t.Helper()
		return must[metadata.Repository](t)(db.Repositories.Get(t.Context(), name)).Stars
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a star counts once for each user, and is taken back": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/app", manifest("one"), "latest"))
			for _, user := range []string{"alice", "alice", "bob"} {
				ok(t, db.Stars.Set(t.Context(), "demo/app", user, noon))
			}
			same(t, 2, starred(t, db, "demo/app"))
			for range 2 {
				ok(t, db.Stars.Unset(t.Context(), "demo/app", "bob"))
			}
			same(t, 1, starred(t, db, "demo/app"))
		},
		"what a user has starred is listed in pages": func(t *testing.T, db *metadata.DB) {
			for _, name := range []string{"demo/a", "demo/b", "demo/c"} {
				ok(t, put(t.Context(), db, name, manifest("one"), "latest"))
				ok(t, db.Stars.Set(t.Context(), name, "alice", noon))
			}
			ok(t, db.Stars.Set(t.Context(), "demo/a", "bob", noon))
			same(t, []string{"demo/a", "demo/b"}, names(t, db, "alice", "", 2))
			same(t, []string{"demo/c"}, names(t, db, "alice", "demo/b", 2))
			same(t, []string{"demo/a"}, names(t, db, "bob", "", 2))
		},
		"what is not there cannot be starred": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Stars.Set(t.Context(), "demo/none", "alice", noon))
			ok(t, db.Stars.Unset(t.Context(), "demo/none", "alice"))
		},
		"stars go with the repository, and with the user": func(t *testing.T, db *metadata.DB) {
			ok(t, put(t.Context(), db, "demo/a", manifest("one"), "latest"))
			ok(t, put(t.Context(), db, "demo/b", manifest("one"), "latest"))
			ok(t, db.Users.Create(t.Context(), metadata.User{Name: "alice", PasswordHash: "x", CreatedAt: noon}))
			for _, user := range []string{"alice", "bob"} {
				ok(t, db.Stars.Set(t.Context(), "demo/a", user, noon))
				ok(t, db.Stars.Set(t.Context(), "demo/b", user, noon))
			}
			ok(t, db.Users.Delete(t.Context(), "alice"))
			same(t, 1, starred(t, db, "demo/a"))
			must[metadata.Removed](t)(db.Repositories.Delete(t.Context(), metadata.Deletion{Repository: "demo/a"}))
			same(t, []string{"demo/b"}, names(t, db, "bob", "", 10))
		},
	})
}

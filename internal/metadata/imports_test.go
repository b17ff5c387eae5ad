package metadata_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// An older program that runs beside a newer one does not know of members: what it sets anew
// is nobody's who was one.
func TestAnImportThatAnOlderLarderSetsAnewIsNoMembersAnyMore(t *testing.T) {
	for name, open := range kinds() {
		t.Run(name, func(t *testing.T) {
			db, noon := open(t), time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
			if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
				t.Fatal(err)
			}
			of := metadata.Import{Repository: "demo/app", Tag: "1", Source: "docker.io/acme/app:1", Scheduled: true, Creator: "alice", Member: true, CreatedAt: noon}
			if err := db.Imports.Set(t.Context(), of); err != nil {
				t.Fatal(err)
			}
			older := func(statement string, args ...any) {
				t.Helper()
				err := db.Update(t.Context(), func(tx *sql.Tx) error {
					_, err := tx.ExecContext(t.Context(), statement, args...)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			member := func(creator string, want bool) {
				t.Helper()
				all, err := db.Imports.Of(t.Context(), "demo/app")
				if err != nil || len(all) != 1 || all[0].Creator != creator || all[0].Member != want {
					t.Errorf("the import is %+v, %v; want %s's, as a member: %v", all, err, creator, want)
				}
			}
			older("UPDATE imports SET checked_at = 1, reason = 'Unauthorized', message = ''")
			member("alice", true)
			older(`
				INSERT INTO imports (repository_id, tag, source, scheduled, creator, created_at, digest, reason, message)
				SELECT id, '1', 'docker.io/acme/other:1', TRUE, 'bob', $1, '', '', '' FROM repositories WHERE name = 'demo/app'
				ON CONFLICT (repository_id, tag) DO UPDATE SET
					source = excluded.source, scheduled = excluded.scheduled, creator = excluded.creator, created_at = excluded.created_at,
					checked_at = excluded.checked_at, imported_at = excluded.imported_at, digest = excluded.digest,
					reason = excluded.reason, message = excluded.message`, noon.Add(time.Second).UnixMicro())
			member("bob", false)
			if text := dumped(t, db); !strings.Contains(text, "member_at") {
				t.Errorf("the dump does not tell of members:\n%s", text)
			}
		})
	}
}

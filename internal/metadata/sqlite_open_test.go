package metadata

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

func TestTheWriterLosesNothingInAPowerFailure(t *testing.T) {
	db, _ := opened(t)
	for pragma, want := range map[string]string{
		"journal_mode": "wal",
		"synchronous":  "2",
		"foreign_keys": "1",
		"busy_timeout": "10000",
	} {
		if diff := cmp.Diff([]string{want}, values[string](t, db.store.writer, "PRAGMA "+pragma)); diff != "" {
			t.Errorf("PRAGMA %s of the writer (-want +got):\n%s", pragma, diff)
		}
	}
	if got := db.store.writer.Stats().MaxOpenConnections; got != 1 {
		t.Errorf("there may be %d writers, want 1", got)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	db, _ := opened(t)
	if _, err := db.store.readers.ExecContext(t.Context(), "DELETE FROM projects"); err == nil {
		t.Fatal("a reader could delete")
	}
}

func TestMigrationsApplyFromEmpty(t *testing.T) {
	db, path := opened(t)
	loose := values[string](t, db.store.readers, `
		SELECT name FROM pragma_table_list
		WHERE type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`)
	if diff := cmp.Diff([]string(nil), loose); diff != "" {
		t.Errorf("tables that are not strict (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{larderApplication}, values[int64](t, db.store.readers, "PRAGMA application_id")); diff != "" {
		t.Errorf("application_id (-want +got):\n%s", diff)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"metadata.db"}, names(contents(t, filepath.Dir(path)))); diff != "" {
		t.Errorf("a new database needs no backup, and a closed one has no log (-want +got):\n%s", diff)
	}
}

func TestOnlyTheOwnerReadsTheDatabase(t *testing.T) {
	_, path := opened(t)
	for _, file := range []string{path, path + "-wal"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the permissions %s", file, info.Mode())
		}
	}
}

func TestAnyPathWillDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?mode=memory#%41&c.db")
	for range 2 {
		db, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Projects.Ensure(t.Context(), Project{Name: "demo", Kind: Hosted}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestAClosedDatabaseDoesNotAnswerPings(t *testing.T) {
	db, _ := opened(t)
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err == nil {
		t.Error("a closed database answered")
	}
}

func TestAFileThatCannotBeUsedIsRefusedAndLeftAlone(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  []string
	}{
		{"a text", func(t *testing.T, path string) { write(t, path, []byte("shopping list\n")) }, []string{"not a SQLite database", "backup"}},
		{"a short file", func(t *testing.T, path string) { write(t, path, []byte("SQLite")) }, []string{"not a SQLite database"}},
		{"a header and nothing else", func(t *testing.T, path string) { write(t, path, []byte(sqliteMagic)) }, []string{"damaged", "backup"}},
		{"a database cut in half", func(t *testing.T, path string) { write(t, path, read(t, path)[:len(read(t, path))/2]) }, []string{"damaged", "backup"}},
		{"a database without its first page", func(t *testing.T, path string) { overwrite(t, path, 100, 3000) }, []string{"damaged", "backup"}},
		{"a database with a page of noise", overwriteTable, []string{"damaged", "backup"}},
		{"a log without its database", func(t *testing.T, path string) { rename(t, path, path+"-wal") }, []string{"write-ahead log", "backup"}},
		{"a log with an empty database", func(t *testing.T, path string) {
			rename(t, path, path+"-wal")
			write(t, path, nil)
		}, []string{"write-ahead log", "backup"}},
		{"a database of another program", func(t *testing.T, path string) {
			change := "PRAGMA application_id = 0; DROP TABLE goose_db_version"
			execute(t, path, change)
		}, []string{"another program", "another data folder"}},
		{"a database of another program that uses goose", func(t *testing.T, path string) {
			execute(t, path, "PRAGMA application_id = 7")
		}, []string{"another program"}},
		{"a newer schema", func(t *testing.T, path string) {
			execute(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
		}, []string{"version 999", fmt.Sprintf("up to %d;", Newest(t))}},
		{"a folder", func(t *testing.T, path string) {
			rename(t, path, path+".gone")
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"not a file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := closed(t)
			tt.spoil(t, path)
			before := contents(t, filepath.Dir(path))
			db, err := Open(t.Context(), path)
			if err == nil {
				_ = db.Close()
				t.Fatal("it was opened")
			}
			for _, text := range append(tt.want, path) {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not say %q: %v", text, err)
				}
			}
			if diff := cmp.Diff(before, contents(t, filepath.Dir(path))); diff != "" {
				t.Errorf("the folder was changed (-before +after):\n%s", names(contents(t, filepath.Dir(path))))
			}
		})
	}
}

func TestAFirstStartThatWasCutShortIsTakenUp(t *testing.T) {
	for name, left := range map[string]string{
		"an empty file":               "PRAGMA user_version",
		"a file with a header":        "PRAGMA journal_mode = WAL",
		"a database without a schema": "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now'))); INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "metadata.db")
			write(t, path, nil)
			execute(t, path, left)
			db, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if err := db.Projects.Create(t.Context(), Project{Name: "demo", Kind: Hosted}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestADatabaseCopiedWithItsLogIsWhole(t *testing.T) {
	db, path := opened(t)
	if err := db.Projects.Create(t.Context(), Project{Name: "demo", Kind: Hosted}); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "metadata.db")
	write(t, copied, read(t, path))
	write(t, copied+"-wal", read(t, path+"-wal"))
	again, err := Open(t.Context(), copied)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if _, err := again.Projects.Get(t.Context(), "demo"); err != nil {
		t.Error(err)
	}
}

func TestABackupIsMadeBeforeAnOlderDatabaseIsMigrated(t *testing.T) {
	path := closed(t)
	before := beforeNext(t, path)
	older := migrations(t, nil)
	newer := migrations(t, NextMigration(t, "DELETE FROM blobs;\nCREATE TABLE more (x INTEGER) STRICT;\n"))
	write(t, before, []byte("an older backup"))
	write(t, before+".partial", []byte("an unfinished backup"))

	db, err := openSQLite(t.Context(), path, newer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if n := values[int](t, db.store.readers, "SELECT count(*) FROM more"); n[0] != 0 {
		t.Errorf("the new table has %d rows", n[0])
	}
	backup, err := openSQLite(t.Context(), before, older)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backup.Close() }()
	if _, err := backup.Blobs.Held(t.Context(), digest.FromString("x")); err != nil {
		t.Errorf("the backup lacks what the migration deleted: %v", err)
	}
	info, err := os.Stat(before)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has the permissions %s", info.Mode())
	}
	if _, err := os.Stat(before + ".partial"); err == nil {
		t.Error("an unfinished backup was left behind")
	}
}

func TestAMigrationThatFailsNamesTheBackupAndChangesNothing(t *testing.T) {
	path := closed(t)
	_, err := openSQLite(t.Context(), path, migrations(t, NextMigration(t, "DELETE FROM blobs;\nCREATE TABLE blobs (x);\n")))
	if err == nil || !strings.Contains(err.Error(), beforeNext(t, path)) {
		t.Fatalf("the error does not name the backup: %v", err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Blobs.Held(t.Context(), digest.FromString("x")); err != nil {
		t.Errorf("the migration was not undone: %v", err)
	}
}

// beforeNext is the backup that is made before the migration after the newest one.
func beforeNext(t *testing.T, path string) string {
	t.Helper()
	return fmt.Sprintf("%s.before-%d", path, Newest(t)+1)
}

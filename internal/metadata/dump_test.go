package metadata_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

// kinds are the databases that there are, each empty.
func kinds() map[string]func(t *testing.T) *metadata.DB {
	return map[string]func(t *testing.T) *metadata.DB{
		"SQLite": func(t *testing.T) *metadata.DB {
			t.Helper()
			db, err := metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		},
		"PostgreSQL": func(t *testing.T) *metadata.DB {
			t.Helper()
			return openPostgres(t, postgreSQL(t).Database(t))
		},
	}
}

func TestADumpOfOneDatabaseLoadsIntoEveryOther(t *testing.T) {
	for from, open := range kinds() {
		db := open(t)
		for name, kind := range map[string]metadata.Kind{"demo": metadata.Hosted, "hub": metadata.Cache} {
			if err := db.Projects.Create(t.Context(), metadata.Project{Name: name, Kind: kind}); err != nil {
				t.Fatal(err)
			}
		}
		metadatatest.Fill(t, db)
		want := dumped(t, db)
		for to, open := range kinds() {
			t.Run("from "+from+" to "+to, func(t *testing.T) {
				other := open(t)
				if _, err := other.Load(t.Context(), strings.NewReader(want), nil); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, dumped(t, other)); diff != "" {
					t.Errorf("the dump of what was loaded (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestADumpOfTheFirstVersionLoadsIntoTheNewest(t *testing.T) {
	for name, open := range kinds() {
		t.Run(name, func(t *testing.T) {
			text := metadata.FirstDump(t)
			if !strings.Contains(text, `"schema":1}`) || strings.Contains(text, "stored_at") {
				t.Fatalf("this is no dump of the first version:\n%s", text)
			}
			db := open(t)
			if _, err := db.Load(t.Context(), strings.NewReader(text), nil); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Projects.Get(t.Context(), "demo"); err != nil {
				t.Error(err)
			}
			if got := dumped(t, db); !strings.Contains(got, `,1,null,null]`) {
				t.Errorf("what the first version did not know is not NULL:\n%s", got)
			}
		})
	}
}

func TestADumpThatIsNotForThisLarderIsRefused(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"one of a newer schema", `{"larder":"metadata","format":1,"schema":99}`, []string{"version 99", fmt.Sprintf("up to %d", metadata.Newest(t)), "newer one"}},
		{"one of a newer form", `{"larder":"metadata","format":7,"schema":2}`, []string{"format 7", "format 1", "newer one"}},
		{"something else", `{"hello":"world"}`, []string{"no dump of Larder's metadata"}},
		{"a database", "SQLite format 3\x00", []string{"no dump of Larder's metadata"}},
		{"nothing", `{"larder":"metadata","format":1,"schema":2}`, []string{"cut off"}},
		{"a line without an end", `{"larder":"metadata","format":1,"schema":2}` + "\n" + strings.Repeat("[", 17<<20), []string{"line 2", "longer than"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := metadata.DumpedBlobs(strings.NewReader(tt.text+"\n"), func(metadata.Blob) error { return nil })
			for _, text := range tt.want {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("the error does not say %q: %v", text, err)
				}
			}
		})
	}
}

func TestEveryColumnIsDumpedOrLeftOutOnPurpose(t *testing.T) {
	want := metadata.DumpColumns()
	const ofSQLite = `
		SELECT t.name || '.' || c.name FROM pragma_table_list t JOIN pragma_table_info(t.name) c
		WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'goose_db_version'`
	const ofPostgreSQL = `
		SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name <> 'larder_schema'`
	for name, query := range map[string]string{"SQLite": ofSQLite, "PostgreSQL": ofPostgreSQL} {
		t.Run(name, func(t *testing.T) {
			got := metadata.Columns(t, kinds()[name](t), query)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("columns (-in dumpTables and undumped +in the database):\n%s", diff)
			}
		})
	}
}

func dumped(t *testing.T, db *metadata.DB) string {
	t.Helper()
	var text bytes.Buffer
	if _, err := db.Dump(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

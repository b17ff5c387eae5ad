package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

// secondMigration would be the one after the embedded ones.
func secondMigration(t *testing.T) map[string]string {
	t.Helper()
	return metadata.NextMigration(t, "CREATE TABLE more (x BIGINT);\nINSERT INTO more VALUES (1);\n")
}

func TestStoresThatStartTogetherMakeOneSchema(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	const stores = 6
	var (
		opened [stores]*metadata.DB
		errs   [stores]error
		all    sync.WaitGroup
	)
	for i := range stores {
		all.Go(func() { opened[i], errs[i] = metadata.OpenPostgresWith(t, databaseURL, secondMigration(t)) })
	}
	all.Wait()
	for _, db := range opened {
		if db != nil {
			defer func() { _ = db.Close() }()
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	if got := column[int64](t, connected(t, databaseURL), "SELECT x FROM more"); len(got) != 1 {
		t.Errorf("the migration ran %d times", len(got))
	}
}

func TestWhatOneStoreAcknowledgesTheOtherServes(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	stores := []*metadata.DB{openPostgres(t, databaseURL), openPostgres(t, databaseURL)}
	const pushers, pushes = 8, 10
	var (
		errs [pushers]error
		all  sync.WaitGroup
	)
	for i := range pushers {
		mine, other := stores[i%2], stores[1-i%2]
		all.Go(func() {
			errs[i] = mine.Projects.Ensure(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted})
			for j := 0; j < pushes && errs[i] == nil; j++ {
				m := manifest(fmt.Sprintf("%d-%d", i, j))
				put := metadata.PutManifest{Repository: "demo/app", Manifest: m, Tags: []string{tag(m.Digest), "latest"}}
				if errs[i] = mine.Manifests.Put(t.Context(), put); errs[i] == nil {
					_, _, errs[i] = other.Manifests.GetByTag(t.Context(), "demo/app", tag(m.Digest))
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	moves, err := stores[0].Tags.History(t.Context(), "demo/app", "latest", pushers*pushes)
	if err != nil {
		t.Fatal(err)
	}
	if len(moves) != pushers*pushes {
		t.Errorf("the tag was moved %d times, and %d are remembered", pushers*pushes, len(moves))
	}
}

func TestAnOlderLarderLeavesANewerDatabaseAlone(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	newer, err := metadata.OpenPostgresWith(t, databaseURL, secondMigration(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = newer.Close() }()
	admin := connected(t, databaseURL)
	versions := "SELECT version_id FROM " + metadata.VersionTable + " ORDER BY id"
	before := column[int64](t, admin, versions)
	older, err := metadata.OpenPostgres(t.Context(), databaseURL, t.TempDir())
	if err == nil {
		_ = older.Close()
		t.Fatal("it was opened")
	}
	for _, text := range []string{fmt.Sprintf("version %d", metadata.Newest(t)+1), fmt.Sprintf("up to %d;", metadata.Newest(t)), "nothing was changed", "postgres:///test_"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	if diff := cmp.Diff(before, column[int64](t, admin, versions)); diff != "" {
		t.Errorf("versions (-before +after):\n%s", diff)
	}
}

func TestADatabaseThatIsNotForLarderIsRefusedAndLeftAlone(t *testing.T) {
	tests := []struct {
		name, with string
		options    []string
		want       string
	}{
		{name: "it has tables of another program", with: "CREATE TABLE users (id BIGINT)", want: "create a database for larder alone"},
		{name: "it cannot hold every text", options: []string{"ENCODING 'SQL_ASCII'", "TEMPLATE template0"}, want: "UTF8"},
	}
	const tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			databaseURL := postgreSQL(t).Database(t, tt.options...)
			admin := connected(t, databaseURL)
			admin.exec(t, tt.with)
			before := column[string](t, admin, tables)
			db, err := metadata.OpenPostgres(t.Context(), databaseURL, t.TempDir())
			if err == nil {
				_ = db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error does not say %q: %v", tt.want, err)
			}
			if diff := cmp.Diff(before, column[string](t, admin, tables)); diff != "" {
				t.Errorf("tables (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	db := openPostgres(t, databaseURL)
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	_, err := metadata.OpenPostgresWith(t, databaseURL, metadata.NextMigration(t, "DELETE FROM projects;\nCREATE TABLE projects (x BIGINT);\n"))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("from version %d to %d", metadata.Newest(t), metadata.Newest(t)+1)) {
		t.Errorf("the error does not name the versions: %v", err)
	}
	if _, err := openPostgres(t, databaseURL).Projects.Get(t.Context(), "demo"); err != nil {
		t.Errorf("the migration was not undone: %v", err)
	}
}

func TestTextComparesBytewiseWhateverTheDatabasesLanguage(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	openPostgres(t, databaseURL)
	admin := connected(t, databaseURL)
	const columns = `
		SELECT c.relname || '.' || a.attname
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> $1 AND a.attcollation `
	const bytewise = `(SELECT oid FROM pg_collation WHERE collname = 'C')`
	if got := column[string](t, admin, columns+"= "+bytewise, metadata.VersionTable); len(got) < 10 {
		t.Errorf("columns that compare bytewise: %q", got)
	}
	got := column[string](t, admin, columns+"NOT IN (0, "+bytewise+")", metadata.VersionTable)
	if diff := cmp.Diff([]string{}, got); diff != "" {
		t.Errorf("columns that compare otherwise (-want +got):\n%s", diff)
	}
}

func TestAClosedStoreDoesNotAnswerPings(t *testing.T) {
	db, err := metadata.OpenPostgres(t.Context(), postgreSQL(t).Database(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	if err := db.Ping(t.Context()); err == nil {
		t.Error("a closed store answered")
	}
}

func TestThePasswordIsInNoError(t *testing.T) {
	// Each of its words would be a piece that another reading of the URL cuts off.
	const password = "Wolf@Bear/Lynx?Hare#Boar:Mole%Newt&Frog"
	escaped := url.UserPassword("larder", password).String()
	running, err := url.Parse(postgreSQL(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	running.User = url.UserPassword("larder", password)
	unknown := *running
	unknown.Path = "/nowhere"
	unknown.User = url.UserPassword("larder", metadatatest.PostgreSQLPassword)
	tests := []struct{ name, databaseURL string }{
		{"a wrong password", running.String()},
		{"a database that is not there", unknown.String()},
		{"a server that is not there", "postgres://" + escaped + "@127.0.0.1:1/larder"},
		{"a folder without a server", "postgres://" + escaped + "@/larder?host=/nowhere"},
		{"a port that is none", "postgres://" + escaped + "@127.0.0.1:http/larder"},
		{"a parameter that is wrong", "postgres://" + escaped + "@127.0.0.1:1/larder?sslmode=sometimes"},
		{"a certificate that is not there", "postgres://" + escaped + "@127.0.0.1:1/larder?sslmode=verify-full&sslrootcert=/nowhere"},
		{"another database's URL", "mysql://" + escaped + "@127.0.0.1/larder"},
		{"no URL", "host=127.0.0.1 password=" + password},
		{"a password that is not escaped", "postgres://larder:" + password + "@127.0.0.1:1/larder"},
		{"a password with a slash", "postgres://larder:Wolf/Bear@127.0.0.1:1/larder"},
		{"a password with an @ and a slash", "postgres://larder:Wolf@Bear/Lynx@127.0.0.1:1/larder"},
		{"a password with an @", "postgres://larder:Wolf@Bear@127.0.0.1:1/larder"},
		{"a password with a question mark", "postgres://larder:Wolf?Bear@127.0.0.1:1/larder"},
		{"a password with a hash", "postgres://larder:1#Bear@127.0.0.1:1/larder"},
		{"a password with a percent sign", "postgres://larder:%Wolf@127.0.0.1:1/larder"},
		{"a URL without a host", "postgres://larder:Wolf/larder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			db, err := metadata.OpenPostgres(ctx, tt.databaseURL, t.TempDir())
			if err == nil {
				_ = db.Close()
				t.Fatal("it was opened")
			}
			words := append(strings.FieldsFunc(password, unicode.IsPunct), metadatatest.PostgreSQLPassword)
			for _, word := range words {
				if strings.Contains(err.Error(), word) {
					t.Errorf("the error has %q of the password in it: %v", word, err)
				}
			}
		})
	}
}

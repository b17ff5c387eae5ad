package metadata_test

import (
	"context"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
)

// pool lends databases that are as new, each to one test. To empty one takes a tenth of the
// time in which the schema is copied, and that of the time in which it is made.
type pool struct {
	server   *metadatatest.PostgreSQL
	template string // its name
	free     []string
	lent     map[string]string // by the test's name
}

func newPool(t *testing.T) *pool {
	t.Helper()
	server := postgreSQL(t)
	template := server.Database(t)
	if err := openPostgres(t, template).Close(); err != nil {
		t.Fatal(err)
	}
	admin := connected(t, template)
	admin.exec(t, keepRows)
	if err := admin.Close(t.Context()); err != nil { // nobody else may use what is copied
		t.Fatal(err)
	}
	return &pool{server: server, template: path.Base(strings.Split(template, "?")[0]), lent: map[string]string{}}
}

// open opens the database of a test: the same one each time.
func (p *pool) open(t *testing.T) *metadata.DB {
	t.Helper()
	databaseURL := p.lent[t.Name()]
	if databaseURL == "" {
		databaseURL = p.take(t)
		p.lent[t.Name()] = databaseURL
		t.Cleanup(func() {
			if err := empty(context.WithoutCancel(t.Context()), databaseURL); err != nil {
				t.Fatal(err)
			}
			p.free = append(p.free, databaseURL)
		})
	}
	return openPostgres(t, databaseURL)
}

func (p *pool) take(t *testing.T) (databaseURL string) {
	t.Helper()
	last := len(p.free) - 1
	if last < 0 {
		return p.server.Database(t, "TEMPLATE "+p.template)
	}
	databaseURL, p.free = p.free[last], p.free[:last]
	return databaseURL
}

func empty(ctx context.Context, databaseURL string) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, emptyTables)
	return errors.Join(err, conn.Close(ctx))
}

// keepRows keeps the rows that a new database has, for emptyTables to restore.
const keepRows = `
CREATE SCHEMA kept;
DO $$ DECLARE name text; BEGIN
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', name, name);
	END LOOP;
END $$`

// emptyTables makes a database as new; references between tables are not looked after
// meanwhile.
const emptyTables = `
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
		EXECUTE format('DELETE FROM public.%I', name);
		EXECUTE format('INSERT INTO public.%I OVERRIDING SYSTEM VALUE TABLE kept.%I', name, name);
	END LOOP;
	FOR name IN SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE last_value IS NOT NULL LOOP
		EXECUTE format('ALTER SEQUENCE %s RESTART', name);
	END LOOP;
END $$`

package metadata

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed migrations/postgres/*.sql
var postgresFiles embed.FS

const (
	// mostWriters and mostReaders bound the connections of one process: four of them
	// fit into the 100 that PostgreSQL allows when nobody has told it otherwise.
	mostWriters = 8
	mostReaders = 12
	// connectionLifetime is how long a connection is kept, so that connections
	// follow a database that has moved to another machine.
	connectionLifetime = 30 * time.Minute
	// unusedLifetime is how long an unused connection is kept.
	unusedLifetime = 5 * time.Minute
	// abandonedTransaction is when PostgreSQL ends a transaction whose process has
	// fallen silent, which would block others for as long as it stays open.
	abandonedTransaction = time.Minute
)

// OpenPostgres opens the PostgreSQL database of a URL, postgres://USER:PASSWORD@HOST:PORT/DATABASE
// with the parameters of libpq, and brings its schema up to date. What the URL
// leaves out comes from libpq's environment variables. Any number of processes may
// have the database open; those that start together bring the schema up to date one
// after the other. It takes connections of their own, or a pooler that lends them
// for a whole session.
//
// Before it changes the schema of a database that is in use, it dumps it into the
// local folder backups, as a file whose name PostgresBackup begins.
//
// A database that is another program's or was written by a newer larder is an error
// that says what to do, and is left as it is. No error has the password in it.
func OpenPostgres(ctx context.Context, databaseURL, backups string) (*DB, error) {
	migrations, err := fs.Sub(postgresFiles, "migrations/postgres")
	if err != nil {
		return nil, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	return openPostgres(ctx, databaseURL, backups, migrations)
}

func openPostgres(ctx context.Context, databaseURL, backups string, migrations fs.FS) (*DB, error) {
	config, err := parsePostgresURL(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("opening metadata in PostgreSQL: %w", err)
	}
	name := postgresName(config)
	if err := migratePostgres(ctx, config, backups, migrations); err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", name, err)
	}
	s := connectPostgres(config)
	db, err := newDB(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("opening metadata %s: %w", name, errors.Join(err, s.close()))
	}
	db.watch = func(ctx context.Context, hint func(string), log *slog.Logger) {
		(&watcher{config: config, process: s.process, changes: s.changes, hint: hint, log: log}).run(ctx)
	}
	return db, nil
}

// connectPostgres makes the two pools. They connect when they are first used.
func connectPostgres(config *pgx.ConnConfig) *store {
	writers := postgresPool(config, mostWriters, map[string]string{
		"lock_timeout": milliseconds(patience),
	})
	readers := postgresPool(config, mostReaders, map[string]string{
		"default_transaction_read_only": "on",
	})
	changes := &Changes{}
	changes.deafen() // until somebody watches
	return &store{
		dialect: postgresDialect(), readers: readers, writer: writers, now: time.Now,
		process: rand.Text(), changes: changes,
	}
}

func postgresDialect() dialect {
	return dialect{
		amongJSON: "IN (SELECT jsonb_array_elements_text(%s::text::jsonb))",
		clock:     "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
		isolation: sql.LevelSerializable,
		unmoved:   sql.LevelRepeatableRead,
		versions:  versionTable,
		withIDs:   "OVERRIDING SYSTEM VALUE ",
		countOn:   "SELECT setval(pg_get_serial_sequence('%[1]s', 'id'), max(id)) FROM %[1]s HAVING max(id) IS NOT NULL",
		transient: postgresTransient,
		neverHeld: postgresNeverHeld,
		notify:    "SELECT pg_notify($1, $2)",
	}
}

// postgresPool makes a pool of at most that many connections. The settings give way
// to those in the URL.
func postgresPool(config *pgx.ConnConfig, most int, settings map[string]string) *sql.DB {
	own := config.Copy()
	for name, value := range settings {
		if own.RuntimeParams[name] == "" {
			own.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*own, stdlib.OptionAfterConnect(requireDurability))
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
	pool.SetConnMaxLifetime(connectionLifetime)
	pool.SetConnMaxIdleTime(unusedLifetime)
	return pool
}

// requireDurability sees to it that a commit is acknowledged only once it is on
// disk, also where the database was told otherwise for other programs' sake. What
// replicas have to do first is left as it was set.
func requireDurability(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	if err != nil {
		// The pool does not know this connection yet.
		return errors.Join(fmt.Errorf("preparing a connection: %w", err), conn.Close(ctx))
	}
	return nil
}

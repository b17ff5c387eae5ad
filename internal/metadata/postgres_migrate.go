package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// versionTable keeps the schema's version. By it a database of Larder's is told from
// any other.
const versionTable = "larder_schema"

// migratePostgres brings the schema to the newest version, while no other process
// does, after a backup when there is something to lose.
func migratePostgres(ctx context.Context, config *pgx.ConnConfig, backups string, migrations fs.FS) (err error) {
	// The one connection holds the lock and gives it up when it is closed, whatever
	// happens to this process.
	db := postgresPool(config, 1, nil)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("it cannot be reached: %w; see that PostgreSQL runs there and that the database URL is right", err)
	}
	if _, err := db.ExecContext(ctx, "SELECT pg_advisory_lock($1)", larderApplication); err != nil {
		return fmt.Errorf("waiting for others that bring its schema up to date: %w", err)
	}
	version, err := inspectPostgres(ctx, db)
	if err != nil {
		return err
	}
	return upgradePostgres(ctx, db, version, backups, migrations)
}

func upgradePostgres(ctx context.Context, db *sql.DB, version int64, backups string, migrations fs.FS) error {
	provider, err := newProvider(goose.DialectPostgres, db, migrations, goose.WithTableName(versionTable))
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	if version > newest {
		return newerSchema(version, newest)
	}
	if version == newest {
		return nil
	}
	backup := ""
	if version > 0 {
		if backup, err = backUpPostgres(ctx, db, backups, version); err != nil {
			return err
		}
	}
	_, err = provider.Up(ctx)
	switch {
	case err == nil:
		return nil
	case backup == "":
		return fmt.Errorf("making its schema: %w", err)
	}
	return fmt.Errorf("bringing its schema from version %d to %d: %w; it is as it was in %s", version, newest, err, backup)
}

// inspectPostgres looks at a database without changing anything and tells its schema
// version, 0 when there is none yet.
func inspectPostgres(ctx context.Context, db *sql.DB) (int64, error) {
	var (
		encoding string
		tables   int64
		ours     bool
	)
	err := db.QueryRowContext(ctx, `
		SELECT current_setting('server_encoding'), count(*), coalesce(bool_or(c.relname = $1), false)
		FROM pg_class c
		WHERE c.relkind IN ('r', 'p') AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')`,
		versionTable).Scan(&encoding, &tables, &ours)
	if err != nil {
		return 0, fmt.Errorf("reading its schema: %w", err)
	}
	if encoding != "UTF8" {
		return 0, fmt.Errorf("its encoding is %s; nothing was changed: create a database for larder with ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	if !ours && tables > 0 {
		return 0, errors.New("it has tables of another program; nothing was changed: create a database for larder alone")
	}
	if !ours {
		return 0, nil
	}
	var version sql.NullInt64
	if err := db.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versionTable).Scan(&version); err != nil {
		return 0, fmt.Errorf("reading its schema version: %w", err)
	}
	return version.Int64, nil
}

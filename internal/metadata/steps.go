package metadata

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// newProvider makes each file of migrations a step that runs it whole, in a transaction.
// Goose's own reader of such files, which looks for their statements, takes megabytes for
// each of them.
func newProvider(dialect goose.Dialect, db *sql.DB, migrations fs.FS, options ...goose.ProviderOption) (*goose.Provider, error) {
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	var steps []*goose.Migration
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("reading the migrations: %s: %w", name, err)
		}
		statements, err := fs.ReadFile(migrations, name)
		if err != nil {
			return nil, fmt.Errorf("reading the migrations: %w", err)
		}
		steps = append(steps, goose.NewGoMigration(version, &goose.GoFunc{RunTx: runAll(name, string(statements))}, nil))
	}
	options = append(options, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(steps...))
	provider, err := goose.NewProvider(dialect, db, nil, options...)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return provider, nil
}

func runAll(name, statements string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, statements); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
}

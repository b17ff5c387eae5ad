package metadata

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// store is the seam under the SQL that both databases share: how a transaction is
// begun and ended, and the words that differ.
type store struct {
	readers *sql.DB
	writer  *sql.DB
	// amongJSON follows a column and asks whether it is one of the strings of the
	// JSON array in parameter $2.
	amongJSON string
	now       func() time.Time
}

// update runs fn in one transaction, which is durable once update returns nil.
func (s *store) update(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// change runs one statement as a transaction of its own and tells how many rows it
// changed.
func (s *store) change(ctx context.Context, query string, args ...any) (int64, error) {
	return change(ctx, s.writer, query, args...)
}

// changer is a database or a transaction.
type changer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func change(ctx context.Context, on changer, query string, args ...any) (int64, error) {
	result, err := on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row is one row of an answer.
type row interface {
	Scan(dest ...any) error
}

// list runs a query and reads each of its rows with scan.
func list[T any](ctx context.Context, s *store, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// yes runs a query that answers yes or no.
func (s *store) yes(ctx context.Context, query string, args ...any) (bool, error) {
	var answer bool
	err := s.readers.QueryRowContext(ctx, query, args...).Scan(&answer)
	return answer, err
}

func scanName(r row) (string, error) {
	var name string
	err := r.Scan(&name)
	return name, err
}

func scanDigest(r row) (digest.Digest, error) {
	var d digest.Digest
	err := r.Scan(&d)
	return d, err
}

// without returns those of asked that query does not find, each once and in the
// order asked. The query's first parameter is the repository, its second the
// digests.
func (s *store) without(ctx context.Context, query, repository string, asked []digest.Digest) ([]digest.Digest, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	names, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("encoding the digests: %w", err)
	}
	found, err := list(ctx, s, scanDigest, query, repository, string(names))
	if err != nil {
		return nil, err
	}
	seen := make(map[digest.Digest]bool, len(asked))
	for _, d := range found {
		seen[d] = true
	}
	var missing []digest.Digest
	for _, d := range asked {
		if !seen[d] {
			seen[d] = true
			missing = append(missing, d)
		}
	}
	return missing, nil
}

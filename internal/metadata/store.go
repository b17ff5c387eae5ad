package metadata

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

// store is the seam under the SQL that both databases share: how a transaction is
// begun and ended, and the words that differ.
type store struct {
	dialect
	readers *sql.DB
	writer  *sql.DB
	now     func() time.Time
	// process tells this process's announcements from those of others.
	process string
	changes *Changes
}

// dialect is what the databases do not say alike.
type dialect struct {
	// amongJSON is what among says, with %s for the parameter.
	amongJSON string
	// clock is the database's time, as a stamp.
	clock string
	// isolation is what makes transactions that run at once leave what they would
	// have left one after the other.
	isolation sql.IsolationLevel
	// unmoved is what makes all reads of a transaction see one moment.
	unmoved sql.IsolationLevel
	// versions is the table of the schema's version.
	versions string
	// withIDs stands before VALUES where rows are inserted with ids that the database
	// would give, and countOn, with the table in place of %[1]s, lets it go on from
	// the largest of them; empty: it does so by itself.
	withIDs, countOn string
	// transient tells whether an error means that nothing was changed and that
	// another try may succeed.
	transient func(error) bool
	// neverHeld tells whether an error means that a parameter is no text that the
	// database could hold.
	neverHeld func(error) bool
	// notify tells all processes that listen on the channel in $1, once its transaction
	// is committed, the text in $2; empty where there is one process.
	notify string
}

// among follows a column and asks whether it is one of the strings of the JSON array
// in a parameter, such as $2; see asJSON.
func (d dialect) among(parameter string) string {
	return strings.Replace(d.amongJSON, "%s", parameter, 1)
}

// update runs fn in one transaction, which is durable once update returns nil. What
// collides with another transaction, or loses the database before it is committed,
// is run again: fn changes nothing but the database.
func (s *store) update(ctx context.Context, fn func(*sql.Tx) error) error {
	return s.retry(ctx, func() error { return s.tryUpdate(ctx, fn) })
}

func (s *store) tryUpdate(ctx context.Context, fn func(*sql.Tx) error) error {
	conn, err := s.turn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: s.isolation})
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// turn waits for a connection to write with, no longer than patience: where each
// writer waits for a lock that another program holds, those behind it would wait for
// the sum. The error has syscall.EBUSY in its chain.
func (s *store) turn(ctx context.Context) (*sql.Conn, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := s.writer.Conn(waiting)
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: other writers took %s", syscall.EBUSY, patience)
	}
	if err != nil {
		return nil, fmt.Errorf("waiting to write: %w", err)
	}
	return conn, nil
}

// change runs one statement as a transaction of its own and tells how many rows it
// changed. The transaction is begun and committed in so many words, since a lost
// connection leaves in doubt whether a statement by itself was run.
func (s *store) change(ctx context.Context, query string, args ...any) (int64, error) {
	var changed int64
	err := s.update(ctx, func(tx *sql.Tx) error {
		var err error
		changed, err = change(ctx, tx, query, args...)
		return err
	})
	return changed, err
}

func change(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row is one row of an answer.
type row interface {
	Scan(dest ...any) error
}

// one runs a query that answers with one row and reads it with scan.
func one[T any](ctx context.Context, s *store, scan func(row) (T, error), query string, args ...any) (T, error) {
	return ask(ctx, s, func() (T, error) { return scan(s.readers.QueryRowContext(ctx, query, args...)) })
}

// list runs a query and reads each of its rows with scan.
func list[T any](ctx context.Context, s *store, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	all, err := ask(ctx, s, func() ([]T, error) { return tryList(ctx, s.readers, scan, query, args...) })
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return all, err
}

// querier is a pool of connections, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func tryList[T any](ctx context.Context, from querier, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := from.QueryContext(ctx, query, args...)
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
	answer, err := one(ctx, s, scanOne[bool], query, args...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return answer, err
}

// scanOne reads a row of one column.
func scanOne[T any](r row) (T, error) {
	var value T
	err := r.Scan(&value)
	return value, err
}

// asJSON is the parameter that among wants.
func asJSON[T ~string](all []T) (string, error) {
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("encoding a list: %w", err)
	}
	return string(text), nil
}

// without returns those of asked that are not among found, each once and in the order
// asked.
func without[T comparable](asked, found []T) []T {
	seen := make(map[T]bool, len(asked))
	for _, one := range found {
		seen[one] = true
	}
	var missing []T
	for _, one := range asked {
		if !seen[one] {
			seen[one] = true
			missing = append(missing, one)
		}
	}
	return missing
}

package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of one statement that inserts rows: the databases take some 32 thousand
// parameters, and a row may hold megabytes.
const (
	mostParameters = 2000
	mostLoaded     = 1 << 20 // bytes
)

// ErrNotEmpty is returned when a database that was to be loaded holds something.
var ErrNotEmpty = errors.New("the database is not empty")

// ErrLeaveOut is returned for a blob whose bytes are nowhere: it is linked where it
// was, and readable again there once it is stored again.
var ErrLeaveOut = errors.New("the blob is left out")

// Load fills an empty database of the newest schema with a dump of this or an older
// one, all or nothing: a dump that was cut off or changed leaves it empty, and so
// does one of a newer schema, whose error names both versions. Keys says where the
// bytes of each blob are now, or returns ErrLeaveOut; nil: where they were.
func (db *DB) Load(ctx context.Context, r io.Reader, keys func(Blob) (string, error)) (DumpSummary, error) {
	var summary DumpSummary
	// Not update: what was read from r cannot be read again.
	err := db.store.tryUpdate(ctx, func(tx *sql.Tx) error {
		l := &loader{store: db.store, tx: tx, keys: keys}
		if err := l.requireEmpty(ctx); err != nil {
			return err
		}
		var err error
		if summary, err = readDump(r, func(t dumpTable, row []any) error { return l.add(ctx, t, row) }); err != nil {
			return err
		}
		if err := l.flush(ctx); err != nil {
			return err
		}
		return l.finish(ctx, summary.Rows)
	})
	if err != nil {
		return DumpSummary{}, failed(err, "loading the metadata")
	}
	return summary, nil
}

// Empty tells whether nothing was ever kept in the database.
func (db *DB) Empty(ctx context.Context) (bool, error) {
	var err error
	if tx, begun := db.store.snapshot(ctx); begun != nil {
		err = begun
	} else {
		defer func() { _ = tx.Rollback() }()
		err = (&loader{store: db.store, tx: tx}).requireEmpty(ctx)
	}
	if errors.Is(err, ErrNotEmpty) {
		return false, nil
	}
	if err != nil {
		return false, failed(err, "looking whether the database is empty")
	}
	return true, nil
}

// loader inserts the rows of one dump.
type loader struct {
	store  *store
	tx     *sql.Tx
	keys   func(Blob) (string, error)
	table  dumpTable
	args   []any
	loaded int   // bytes of args, about
	left   int64 // blobs left out
}

func (l *loader) requireEmpty(ctx context.Context) error {
	for _, t := range dumpTables() {
		count, err := l.count(ctx, t.name)
		if err != nil {
			return err
		}
		if count > 0 {
			return fmt.Errorf("%w: there are %d rows in its table %s", ErrNotEmpty, count, t.name)
		}
	}
	return nil
}

func (l *loader) count(ctx context.Context, table string) (int64, error) {
	var count int64
	if err := l.tx.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&count); err != nil {
		return 0, fmt.Errorf("counting the rows of %s: %w", table, err)
	}
	return count, nil
}

func (l *loader) add(ctx context.Context, t dumpTable, row []any) error {
	if t.name == blobTable && l.keys != nil {
		err := l.rekey(t, row)
		if errors.Is(err, ErrLeaveOut) {
			l.left++
			return nil
		}
		if err != nil {
			return err
		}
	}
	if t.name != l.table.name || len(l.args)+len(row) > mostParameters || l.loaded > mostLoaded {
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.table = t
	}
	l.args = append(l.args, row...)
	for _, cell := range row {
		switch c := cell.(type) {
		case string:
			l.loaded += len(c)
		case []byte:
			l.loaded += len(c)
		}
	}
	return nil
}

func (l *loader) rekey(t dumpTable, row []any) error {
	b, err := blobOf(t, row)
	if err != nil {
		return err
	}
	key, err := l.keys(b)
	if err != nil {
		return err
	}
	row[t.index("storage_key")] = key
	return nil
}

// flush inserts the rows that were gathered, in one statement.
func (l *loader) flush(ctx context.Context) error {
	if len(l.args) == 0 {
		return nil
	}
	if _, err := l.tx.ExecContext(ctx, l.statement(), l.args...); err != nil {
		return fmt.Errorf("inserting into %s: %w", l.table.name, err)
	}
	l.args, l.loaded = l.args[:0], 0
	return nil
}

func (l *loader) statement() string {
	var text strings.Builder
	text.WriteString("INSERT INTO " + l.table.name + " (" + strings.Join(l.table.names(), ", ") + ") ")
	if l.table.counted {
		text.WriteString(l.store.withIDs)
	}
	text.WriteString("VALUES ")
	width := len(l.table.columns)
	for i := range l.args {
		switch {
		case i == 0:
			text.WriteString("(")
		case i%width == 0:
			text.WriteString("), (")
		default:
			text.WriteString(", ")
		}
		text.WriteString("$" + strconv.Itoa(i+1))
	}
	text.WriteString(")")
	return text.String()
}

// finish compares what is there with what the dump says, and lets the database count
// on from the ids that were loaded.
func (l *loader) finish(ctx context.Context, want map[string]int64) error {
	for _, t := range dumpTables() {
		count, err := l.count(ctx, t.name)
		if err != nil {
			return err
		}
		wanted := want[t.name]
		if t.name == blobTable {
			wanted -= l.left
		}
		if count != wanted {
			return fmt.Errorf("%d of the %d rows of %s were loaded", count, wanted, t.name)
		}
		if !t.counted || l.store.countOn == "" {
			continue
		}
		if _, err := l.tx.ExecContext(ctx, fmt.Sprintf(l.store.countOn, t.name)); err != nil {
			return fmt.Errorf("counting on in %s: %w", t.name, err)
		}
	}
	return nil
}

package metadata

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

const (
	// dumpFormat is the form of the dumps that are written and read here.
	dumpFormat = 1
	// dumpName begins every dump.
	dumpName = "metadata"
	// longestLine bounds a line of a dump in bytes. The longest is a manifest's, of
	// at most 4 MiB, which take a third more in base64.
	longestLine = 16 << 20
)

// A dump is lines of JSON: a header, then for each table its columns and its rows,
// one a line, and at last a footer, which a dump that was cut off lacks.
type (
	dumpHeader struct {
		Larder string `json:"larder"` // dumpName
		Format int    `json:"format"`
		Schema int64  `json:"schema"`
	}
	dumpSection struct {
		Table   string   `json:"table"`
		Columns []string `json:"columns"`
	}
	dumpFooter struct {
		End    bool             `json:"end"` // true
		Rows   map[string]int64 `json:"rows"`
		SHA256 digest.Digest    `json:"sha256"` // of all bytes before this line
	}
)

// DumpSummary is what a dump holds.
type DumpSummary struct {
	Schema int64            // the version that wrote it
	Rows   map[string]int64 // by table
	// Content is the same for the same rows, wherever the blobs' bytes are kept.
	Content digest.Digest
}

// Dump writes all metadata but what is under way, as it is at one moment, while
// others go on writing. It is held in the database for as long as w takes. A dump
// has password hashes and signing keys in it.
func (db *DB) Dump(ctx context.Context, w io.Writer) (DumpSummary, error) {
	tx, err := db.store.snapshot(ctx)
	if err != nil {
		return DumpSummary{}, failed(err, "dumping the metadata")
	}
	defer func() { _ = tx.Rollback() }()
	var version int64
	if err := tx.QueryRowContext(ctx, "SELECT max(version_id) FROM "+db.store.versions).Scan(&version); err != nil {
		return DumpSummary{}, failed(err, "dumping the metadata: reading the schema's version")
	}
	summary, err := dump(ctx, tx, version, w)
	if err != nil {
		return DumpSummary{}, failed(err, "dumping the metadata")
	}
	return summary, nil
}

// snapshot begins a transaction that reads the database as it is at one moment.
func (s *store) snapshot(ctx context.Context) (*sql.Tx, error) {
	return ask(ctx, s, func() (*sql.Tx, error) {
		return s.readers.BeginTx(ctx, &sql.TxOptions{Isolation: s.unmoved, ReadOnly: true})
	})
}

// dump writes the tables of a version of the schema.
func dump(ctx context.Context, tx *sql.Tx, version int64, w io.Writer) (DumpSummary, error) {
	d := newDumper(w)
	if err := d.line(dumpHeader{Larder: dumpName, Format: dumpFormat, Schema: version}); err != nil {
		return DumpSummary{}, err
	}
	rows := map[string]int64{}
	for _, t := range dumpTables() {
		if t.since > version {
			continue
		}
		count, err := d.table(ctx, tx, t.at(version))
		if err != nil {
			return DumpSummary{}, fmt.Errorf("table %s: %w", t.name, err)
		}
		rows[t.name] = count
	}
	if err := d.line(dumpFooter{End: true, Rows: rows, SHA256: digest.NewDigest(digest.SHA256, d.sum)}); err != nil {
		return DumpSummary{}, err
	}
	return DumpSummary{Schema: version, Rows: rows, Content: d.content.digest()}, nil
}

// dumper writes lines and sums them up.
type dumper struct {
	to      io.Writer
	sum     hash.Hash
	content *contentSum
	encoded bytes.Buffer
}

func newDumper(w io.Writer) *dumper {
	return &dumper{to: w, sum: digest.SHA256.Hash(), content: newContentSum()}
}

func (d *dumper) line(value any) error {
	if err := encodeLine(&d.encoded, value); err != nil {
		return err
	}
	_, _ = d.sum.Write(d.encoded.Bytes()) // a hash never fails
	_, err := d.to.Write(d.encoded.Bytes())
	return err
}

func encodeLine(to *bytes.Buffer, value any) error {
	to.Reset()
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	if to.Len() > longestLine {
		return fmt.Errorf("a row takes %d bytes, more than the %d that a dump holds in one line", to.Len(), longestLine)
	}
	return nil
}

func (d *dumper) table(ctx context.Context, tx *sql.Tx, t dumpTable) (count int64, err error) {
	if err := d.line(dumpSection{Table: t.name, Columns: t.names()}); err != nil {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx, t.query())
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	cells := newCells(t)
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return 0, err
		}
		row, err := rowOf(t, cells)
		if err != nil {
			return 0, err
		}
		if err := d.line(row); err != nil {
			return 0, err
		}
		if err := d.content.add(t, row); err != nil {
			return 0, err
		}
		count++
	}
	return count, rows.Err()
}

// newCells are where a row is scanned to.
func newCells(t dumpTable) []any {
	cells := make([]any, 0, len(t.columns))
	for _, c := range t.columns {
		switch c.kind {
		case integerCell:
			cells = append(cells, new(sql.Null[int64]))
		case booleanCell:
			cells = append(cells, new(sql.Null[bool]))
		case bytesCell:
			cells = append(cells, new([]byte))
		case textCell, placeCell:
			cells = append(cells, new(sql.Null[string]))
		}
	}
	return cells
}

// rowOf is a row of cells as JSON holds them: bytes in base64, NULL as null.
func rowOf(t dumpTable, cells []any) ([]any, error) {
	row := make([]any, len(cells))
	for i, cell := range cells {
		switch c := cell.(type) {
		case *sql.Null[int64]:
			if c.Valid {
				row[i] = c.V
			}
		case *sql.Null[bool]:
			if c.Valid {
				row[i] = c.V
			}
		case *[]byte:
			if *c != nil {
				row[i] = *c
			}
		case *sql.Null[string]:
			if !utf8.ValidString(c.V) {
				return nil, fmt.Errorf("column %s holds a text that is not UTF-8: %.80q", t.columns[i].name, c.V)
			}
			if c.Valid {
				row[i] = c.V
			}
		}
	}
	return row, nil
}

// contentSum sums up rows without the places of bytes.
type contentSum struct {
	sum     hash.Hash
	encoded bytes.Buffer
}

func newContentSum() *contentSum { return &contentSum{sum: digest.SHA256.Hash()} }

func (c *contentSum) add(t dumpTable, row []any) error {
	counted := make([]any, 0, len(row)+1)
	counted = append(counted, t.name)
	for i, column := range t.columns {
		if column.kind != placeCell {
			counted = append(counted, row[i])
		}
	}
	if err := encodeLine(&c.encoded, counted); err != nil {
		return err
	}
	_, _ = c.sum.Write(c.encoded.Bytes()) // a hash never fails
	return nil
}

func (c *contentSum) digest() digest.Digest { return digest.NewDigest(digest.SHA256, c.sum) }

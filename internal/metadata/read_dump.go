package metadata

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/pressly/goose/v3"
)

// errCutOff is what a dump is told by that was not written to its end.
var errCutOff = errors.New("the dump is cut off: its closing line is missing; take another one")

// DumpedBlobs reads a dump to its end and calls fn for every blob in it. A dump that
// was cut off or changed is an error, after fn was called for what came before.
func DumpedBlobs(r io.Reader, fn func(Blob) error) (DumpSummary, error) {
	summary, err := readDump(r, func(t dumpTable, row []any) error {
		if t.name != blobTable {
			return nil
		}
		b, err := blobOf(t, row)
		if err != nil {
			return err
		}
		return fn(b)
	})
	if err != nil {
		return DumpSummary{}, fmt.Errorf("reading a dump of the metadata: %w", err)
	}
	return summary, nil
}

// readDump calls fn for every row of a dump and checks its counts and its sum.
func readDump(r io.Reader, fn func(dumpTable, []any) error) (DumpSummary, error) {
	d := &dumpReader{
		from: bufio.NewReaderSize(r, 64<<10), sum: digest.SHA256.Hash(), content: newContentSum(),
		rows: map[string]int64{}, fn: fn,
	}
	var header dumpHeader
	line, err := d.line()
	if err == nil && (json.Unmarshal(line, &header) != nil || header.Larder != dumpName) {
		err = errors.New("this is no dump of Larder's metadata")
	}
	if err == nil {
		err = d.checkVersion(header)
	}
	for end := false; err == nil && !end; {
		end, err = d.next()
	}
	if err != nil {
		return DumpSummary{}, err
	}
	return DumpSummary{Schema: d.schema, Rows: d.rows, Content: d.content.digest()}, nil
}

// dumpReader reads one dump from its beginning to its end.
type dumpReader struct {
	from    *bufio.Reader
	sum     hash.Hash
	content *contentSum
	schema  int64
	table   dumpTable // whose rows are being read
	rows    map[string]int64
	number  int // of the last line
	fn      func(dumpTable, []any) error
	read    bytes.Buffer
}

func (d *dumpReader) checkVersion(header dumpHeader) error {
	d.schema = header.Schema
	if header.Format != dumpFormat {
		return fmt.Errorf("the dump has format %d, and this larder knows format %d: use the larder that wrote it or a newer one", header.Format, dumpFormat)
	}
	newest, err := newestVersion()
	if err != nil {
		return err
	}
	if header.Schema > newest {
		return fmt.Errorf("the dump has schema version %d, and this larder knows versions up to %d: use the larder that wrote it or a newer one", header.Schema, newest)
	}
	return nil
}

// newestVersion is that of the schema that this program makes, in both databases.
func newestVersion() (int64, error) {
	migrations, err := sqliteFiles.ReadDir("migrations/sqlite")
	if err != nil {
		return 0, fmt.Errorf("reading the embedded migrations: %w", err)
	}
	return goose.NumericComponent(migrations[len(migrations)-1].Name())
}

// next reads a line and tells whether it was the last.
func (d *dumpReader) next() (end bool, err error) {
	before := digest.NewDigest(digest.SHA256, d.sum)
	line, err := d.line()
	if err != nil {
		return false, err
	}
	if line[0] == '[' {
		return false, d.row(line)
	}
	var footer dumpFooter
	if err := json.Unmarshal(line, &footer); err == nil && footer.End {
		return true, d.check(footer, before)
	}
	var section dumpSection
	if err := json.Unmarshal(line, &section); err != nil {
		return false, d.damaged(err)
	}
	return false, d.section(section)
}

// line is the next line, which is valid until the one after it.
func (d *dumpReader) line() ([]byte, error) {
	d.read.Reset()
	d.number++
	for {
		part, err := d.from.ReadSlice('\n')
		d.read.Write(part)
		switch {
		case err == nil:
			_, _ = d.sum.Write(d.read.Bytes()) // a hash never fails
			return d.read.Bytes(), nil
		case errors.Is(err, io.EOF):
			return nil, errCutOff
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case d.read.Len() > longestLine:
			return nil, d.damaged(fmt.Errorf("it is longer than %d bytes", longestLine))
		}
	}
}

func (d *dumpReader) damaged(err error) error {
	return fmt.Errorf("line %d of the dump is damaged: %w", d.number, err)
}

// section begins the rows of a table, some of whose newer columns may be missing.
func (d *dumpReader) section(s dumpSection) error {
	for _, t := range dumpTables() {
		if t.name != s.Table {
			continue
		}
		t = t.at(d.schema)
		if _, again := d.rows[t.name]; again || !slices.Equal(t.names(), s.Columns) {
			return d.damaged(fmt.Errorf("table %s is there twice, or without columns that it has in schema version %d", t.name, d.schema))
		}
		d.table, d.rows[t.name] = t, 0
		return nil
	}
	return d.damaged(fmt.Errorf("there is no table %.80q", s.Table))
}

func (d *dumpReader) row(line []byte) error {
	var cells []json.RawMessage
	if err := json.Unmarshal(line, &cells); err != nil {
		return d.damaged(err)
	}
	if len(cells) != len(d.table.columns) || len(cells) == 0 {
		return d.damaged(fmt.Errorf("it has %d cells, and table %q has %d columns", len(cells), d.table.name, len(d.table.columns)))
	}
	row := make([]any, len(cells))
	for i, c := range d.table.columns {
		var err error
		if row[i], err = c.kind.value(cells[i]); err != nil {
			return d.damaged(fmt.Errorf("%s: %w", c.name, err))
		}
	}
	d.rows[d.table.name]++
	if err := d.content.add(d.table, row); err != nil {
		return d.damaged(err)
	}
	return d.fn(d.table, row)
}

func (d *dumpReader) check(footer dumpFooter, sum digest.Digest) error {
	if footer.SHA256 != sum {
		return fmt.Errorf("the dump is damaged: its bytes have the sum %s, and its closing line says %s; take another one", sum, footer.SHA256)
	}
	if !maps.Equal(footer.Rows, d.rows) {
		return errors.New("the dump is damaged: it does not have the rows that its closing line counts; take another one")
	}
	return nil
}

// value reads a cell.
func (k cellKind) value(cell json.RawMessage) (any, error) {
	if string(cell) == "null" {
		return nil, nil
	}
	switch k {
	case integerCell:
		return decoded[int64](cell)
	case booleanCell:
		return decoded[bool](cell)
	case bytesCell:
		return decoded[[]byte](cell)
	case textCell, placeCell:
	}
	return decoded[string](cell)
}

func decoded[T any](cell json.RawMessage) (any, error) {
	var value T
	err := json.Unmarshal(cell, &value)
	return value, err
}

func (t dumpTable) index(column string) int {
	return slices.IndexFunc(t.columns, func(c dumpColumn) bool { return c.name == column })
}

// blobOf is a row of the table of blobs.
func blobOf(t dumpTable, row []any) (Blob, error) {
	d, named := row[t.index("digest")].(string)
	key, kept := row[t.index("storage_key")].(string)
	size, sized := row[t.index("size")].(int64)
	if !named || !kept || !sized {
		return Blob{}, errors.New("a row of the blobs has no digest, no key or no size")
	}
	b := Blob{Digest: digest.Digest(d), Key: key, Size: size}
	if err := b.Digest.Validate(); err != nil {
		return Blob{}, fmt.Errorf("a row of the blobs has the digest %.160q: %w", d, err)
	}
	return b, nil
}

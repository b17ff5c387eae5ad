package metadata

import (
	"database/sql"
	"errors"
	"fmt"
)

// ErrNotFound is returned when what was asked for is not in the database.
var ErrNotFound = errors.New("not found")

// ErrExists is returned when what was to be created is in the database already.
var ErrExists = errors.New("already exists")

// ErrFull is returned when there are as many of something as there may be.
var ErrFull = errors.New("there are too many already")

// failed says what was being done when err came up. A query without a row is
// ErrNotFound; where SQLite's storage fails, a syscall.Errno in the chain says how.
func failed(err error, doing string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if cause := sqliteCause(err); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf(doing+": %w", append(args, err)...)
}

// oneChanged is nil when a statement changed a row, and otherwise says that there
// was none to change.
func oneChanged(changed int64, err error) error {
	if err == nil && changed == 0 {
		return ErrNotFound
	}
	return err
}

// newerSchema is why an older program leaves a newer database alone.
func newerSchema(version, newest int64) error {
	return fmt.Errorf("its schema has version %d, and this larder knows versions up to %d; nothing was changed: start the larder that wrote it or a newer one, or restore a backup made before version %d",
		version, newest, newest+1)
}

package metadata

import (
	"errors"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteCause says in the operating system's words why SQLite failed (SQLite, Result
// and Error Codes): EBUSY, another program holds the lock; ENOSPC, the disk is full;
// EROFS, it is read-only; EIO, it fails. Nil for all other errors.
func sqliteCause(err error) error {
	failure, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return nil
	}
	const primary = 0xff // the lowest byte; the others say more closely which
	switch failure.Code() & primary {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return syscall.EBUSY
	case sqlite3.SQLITE_FULL:
		return syscall.ENOSPC
	case sqlite3.SQLITE_READONLY:
		return syscall.EROFS
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		return syscall.EIO
	}
	return nil
}

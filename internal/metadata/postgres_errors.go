package metadata

import (
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// PostgreSQL's codes for errors and, of two letters, for a class of them
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	serializationFailure     = "40001"
	deadlockDetected         = "40P01"
	characterNotInRepertoire = "22021"

	connectionException = "08"
	adminShutdown       = "57P01"
	crashShutdown       = "57P02"
	cannotConnectNow    = "57P03"
	idleSession         = "57P05"
	idleTransaction     = "25P03"
	tooManyConnections  = "53300"
)

// postgresTransient is PostgreSQL's dialect.transient. Until the commit, a lost
// connection means that nothing was changed; a commit that was not answered may have
// happened.
func postgresTransient(err error) bool {
	if _, committing := errors.AsType[*commitError](err); committing {
		return collided(err)
	}
	return collided(err) || disconnected(err)
}

// sqlState is PostgreSQL's code for an error, "" for one that is not its own.
func sqlState(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Code
	}
	return ""
}

// collided tells that a transaction was undone because of others that ran at the
// same time.
func collided(err error) bool {
	state := sqlState(err)
	return state == serializationFailure || state == deadlockDetected
}

// disconnected tells that a connection was lost or could not be made.
func disconnected(err error) bool {
	switch state := sqlState(err); {
	case slices.Contains([]string{adminShutdown, crashShutdown, cannotConnectNow, idleSession, idleTransaction, tooManyConnections}, state):
		return true
	case state != "":
		return strings.HasPrefix(state, connectionException)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// postgresNeverHeld is PostgreSQL's dialect.neverHeld: a text there is UTF-8 without
// zeros, and a query for any other is refused.
func postgresNeverHeld(err error) bool {
	return sqlState(err) == characterNotInRepertoire
}

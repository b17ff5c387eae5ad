package scripts_test

import (
	"context"
	"database/sql"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver
)

// age lets the blobs of a database have been stored and used that much earlier, beside
// a server that runs:
//
//	age FILE DURATION
func age(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		usage(ts, "age", args, "age FILE DURATION")
	}
	by, err := time.ParseDuration(args[1])
	ts.Check(err)
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0])+"?_pragma=busy_timeout(10000)")
	ts.Check(err)
	defer func() { _ = db.Close() }()
	for _, column := range []string{"blob_links SET used_at = used_at", "blobs SET stored_at = stored_at"} {
		_, err := db.ExecContext(context.Background(), "UPDATE "+column+" - $1", by.Microseconds())
		ts.Check(err)
	}
}

package chaos_test

import (
	"net/http"
	"testing"
	"time"
)

const (
	// lockedOut is how many pushes at once wait for a database that stays locked, and
	// lockedLimit when the last of them has been told so.
	lockedOut   = 4
	lockedLimit = 25 * time.Second
)

func TestALockedDatabaseStopsNoPull(t *testing.T) {
	t.Parallel()
	f := newFailing(t, t.TempDir())
	f.pulls()
	db := openMetadata(t, f.server.data, "rw")
	defer func() { _ = db.Close() }()
	lock := func(sql string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}

	lock("BEGIN EXCLUSIVE")
	waiting := make(chan map[string]answer)
	go func() { waiting <- f.everyPush() }()
	for range 20 {
		f.pulls()
		time.Sleep(50 * time.Millisecond)
	}
	lock("COMMIT")
	for what, a := range <-waiting {
		if !a.ok() && what != "a tag's deletion" {
			t.Errorf("%s did not wait for the lock: %s", what, a)
		}
	}

	lock("BEGIN EXCLUSIVE")
	began := time.Now()
	refused := make(chan answer)
	for range lockedOut {
		go func() { refused <- f.push(http.MethodPost, "/blobs/uploads/", "", "") }()
	}
	f.pulls()
	f.coldPull()
	for range lockedOut {
		f.refused(map[string]answer{"an upload": <-refused}, http.StatusServiceUnavailable)
	}
	if took := time.Since(began); took > lockedLimit {
		t.Errorf("the last of %d pushes was refused after %s", lockedOut, took)
	}
	f.pulls()
	lock("COMMIT")

	f.accepted(f.everyPush())
	f.server.stop()
}

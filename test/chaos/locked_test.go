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
	lockedLimit = 35 * time.Second
	// shortLock is less than what a push waits for the lock.
	shortLock = 2 * time.Second
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
	for began := time.Now(); time.Since(began) < shortLock; {
		f.pulls()
	}
	lock("COMMIT")
	for what, a := range <-waiting {
		if !a.ok() && what != "a tag's deletion" {
			t.Errorf("%s did not wait for the lock: %s", what, a)
		}
	}

	lock("BEGIN EXCLUSIVE")
	refused, told := make(chan answer), make(chan time.Duration, lockedOut)
	for range lockedOut {
		began := time.Now()
		go func() {
			a := f.push(http.MethodPost, "/blobs/uploads/", "", "")
			told <- time.Since(began)
			refused <- a
		}()
	}
	f.pulls()
	f.coldPull()
	for range lockedOut {
		f.refused(map[string]answer{"an upload": <-refused}, http.StatusServiceUnavailable)
		if took := <-told; took > lockedLimit {
			t.Errorf("one of %d pushes was refused after %s", lockedOut, took)
		}
	}
	f.pulls()
	lock("COMMIT")

	f.accepted(f.everyPush())
	f.server.stop()
}

package chaos_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestADiskThatTurnsReadOnlyStopsNoPull(t *testing.T) {
	t.Parallel()
	folder := mountedDisk(t)
	f := newFailing(t, folder)
	f.pulls()

	// What Linux does to a disk that fails.
	system(t, "mount", "-o", "remount,abort", folder)

	for range 3 {
		f.refused(f.everyPush(), http.StatusServiceUnavailable, http.StatusNotFound)
		f.pulls()
	}
	f.coldPull()
	f.server.alive()
	f.server.kill()

	f.server.launch()
	select {
	case <-f.server.ended:
		if text := f.server.output.String(); f.server.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(text, "read-only file system") {
			t.Errorf("a start on it ended with %v and without saying why", f.server.err)
		}
	case <-f.server.started:
	case <-time.After(startLimit):
		t.Error("a start on it hangs")
	}
}

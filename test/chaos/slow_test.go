package chaos_test

import (
	"testing"
	"time"
)

// slowness is how long each write and each sync of the slow disk takes.
const slowness = 200 * time.Millisecond

func TestASlowDiskSlowsNoWarmPull(t *testing.T) {
	t.Parallel()
	disk, folder := mountRecorder(t)
	f := newFailing(t, folder)
	f.pulls()
	disk.slow.Store(int64(slowness))

	f.quiet.begin()
	pushed := make(chan map[string]answer)
	go func() { pushed <- f.everyPush() }()
	f.pulls()
	f.accepted(<-pushed)
	f.coldPull()
	until(t, "there were enough pulls to tell", func() bool { return f.quiet.count.Load() >= enough })
	pulls, median, longest := f.quiet.end()
	t.Logf("with %s for each write and each sync, %d warm pulls, median %s, longest %s",
		slowness, pulls, median.Round(time.Millisecond), longest.Round(time.Millisecond))

	disk.slow.Store(0)
	f.accepted(f.everyPush())
	f.server.stop()
}

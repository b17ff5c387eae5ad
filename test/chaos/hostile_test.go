package chaos_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	// maxMemory is what the server may hold resident at any moment, and maxIdleMemory
	// once the misbehaving clients have gone, in bytes. Most of the former goes to ten
	// thousand connections.
	maxMemory     = 448 << 20
	maxIdleMemory = 160 << 20
	// settleLimit bounds the wait for what a misbehaving client has left to be gone.
	settleLimit = 30 * time.Second
	// maxTries bounds how often something is done again because it was over before
	// anybody could have noticed.
	maxTries = 10
)

// besieged is a server that misbehaving clients meet.
type besieged struct {
	t      *testing.T
	hub    *hubsim.Hub
	server *server
	client *client
	rng    *rand.Rand
}

func TestAWellBehavedClientIsServedWhileOthersMisbehave(t *testing.T) {
	hub := newHub(t, hubsim.Options{})
	s := newServer(t, filepath.Join(t.TempDir(), "data"), hub)
	c := s.start()
	quiet := newNeighbor(t, c, hub)
	tests := []struct {
		name string
		run  func(*besieged)
	}{
		{"connections that send nothing, and headers byte by byte", (*besieged).sayNothing},
		{"requests with a hundred megabytes of headers", (*besieged).sendHeadersWithoutEnd},
		{"uploads that never end", (*besieged).uploadWithoutEnd},
		{"a manifest that never ends", (*besieged).pushManifestWithoutEnd},
		{"an index of a million entries", (*besieged).pushHugeIndex},
		{"indexes of an upstream that are too large", (*besieged).pullHugeIndexes},
		{"JSON nested a million deep", (*besieged).pushNestedManifest},
		{"readers of a big blob who take their time", (*besieged).readSlowly},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			open := s.descriptors()
			s.forgetPeak()
			quiet.t = t
			quiet.begin()
			b := &besieged{t, hub, s, c, choices(t, 200)}
			for tries := 0; tries == 0 || quiet.count.Load() < enough && tries < maxTries; tries++ {
				tt.run(b)
			}
			pulls, median, longest := quiet.end()
			s.alive()
			peak := s.memory("VmHWM")
			if peak > maxMemory {
				t.Errorf("the server took %d MiB", peak>>20)
			}
			until(t, "the connections are closed", func() bool { return s.descriptors() <= open+50 })
			t.Logf("meanwhile %d pulls of a well-behaved client, median %s, longest %s; memory at most %d MiB, now %d MiB",
				pulls, median.Round(time.Millisecond), longest.Round(time.Millisecond), peak>>20, s.memory("VmRSS")>>20)
		})
	}
	quiet.t = t
	until(t, "the memory is given back", func() bool {
		quiet.pull(t.Context())
		return s.memory("VmRSS") <= maxIdleMemory
	})
	s.stop()
}

// until waits for something that will be true soon.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	within(t, settleLimit, what, done)
}

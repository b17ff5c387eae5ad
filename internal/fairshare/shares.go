package fairshare

import (
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-registry/larder/internal/ratelimit"
)

// maxCounts bounds what is counted under: the sources of strangers are the upstream's to
// name. Above it, what was counted longest ago is forgotten.
const maxCounts = 10_000

// Config is what Shares stand on.
type Config struct {
	Store Store
	// Shared says that other processes count in the same store.
	Shared  bool
	Metrics *Metrics
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger
}

// Shares counts what is spent, whatever plans are in force. It is safe for concurrent use.
type Shares struct {
	Config
	holder string
	// wanted is set once there is a plan: then other processes are asked what they counted.
	wanted atomic.Bool

	mu       sync.Mutex
	accounts map[[2]string]*account // by upstream and credential
	counts   map[subject]*count
	changed  map[subject]struct{} // since they were written
	seen     time.Time            // when what was read last had been written, by the database's clock
}

func newShares(c Config) *Shares {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Shares{
		Config: c, holder: rand.Text(), accounts: map[[2]string]*account{},
		counts: map[subject]*count{}, changed: map[subject]struct{}{},
	}
}

// count is what is counted under a subject; the lock is held.
func (s *Shares) count(of subject) *count {
	c, known := s.counts[of]
	if !known {
		if len(s.counts) >= maxCounts {
			s.forgetOldest()
		}
		c = &count{others: map[string]*ratelimit.History{}}
		s.counts[of] = c
	}
	return c
}

func (s *Shares) forgetOldest() {
	var oldest subject
	var at time.Time
	for of, c := range s.counts {
		if last := c.last(); oldest == (subject{}) || last.Before(at) {
			oldest, at = of, last
		}
	}
	delete(s.counts, oldest)
	delete(s.changed, oldest)
}

func (s *Shares) add(of subject, limit ratelimit.Limit, now time.Time) {
	c := s.count(of)
	c.window = max(c.window, limit.Window)
	c.own.Add(limit, now)
	s.change(of, c)
}

// remove takes an add back.
func (s *Shares) remove(of subject, limit ratelimit.Limit, at time.Time) {
	c := s.count(of)
	c.own.Remove(limit, at)
	s.change(of, c)
}

func (s *Shares) change(of subject, c *count) {
	c.changed = true
	s.changed[of] = struct{}{}
}

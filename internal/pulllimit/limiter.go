package pulllimit

import (
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/ratelimit"
)

const (
	// maxSubjects and maxMarks bound what is kept in memory. Above them, whoever has pulled
	// little is forgotten.
	maxSubjects = 200_000
	maxMarks    = 4_000_000
	// forgetAmong is how many subjects are looked at to find one to forget.
	forgetAmong = 16
	// refusalEvery is how often a subject's refusals are worth an entry in the audit log.
	refusalEvery = time.Hour
)

// Config is what a Limiter stands on.
type Config struct {
	Store Store
	// Shared says that other processes count in the same store.
	Shared  bool
	Metrics *Metrics
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger
}

// Limiter counts pulls. It is safe for concurrent use.
type Limiter struct {
	Config
	holder string
	// mostSubjects and mostMarks are the bounds on what is kept.
	mostSubjects, mostMarks int
	// wanted is set once there is a rule: then other processes are asked what they counted.
	wanted atomic.Bool

	mu       sync.Mutex
	subjects map[subject]*counts
	marks    int                  // of all subjects
	halves   uint64               // opened so far
	changed  map[*counts]struct{} // since they were written
	swept    time.Time

	families families
	seen     time.Time // when what was read last had been written, by the database's clock
}

// counts is what a subject has pulled.
type counts struct {
	subject subject
	source  string // as clients are told
	own     ratelimit.History
	others  []others
	halves  []*half
	used    []usedHalf
	lones   []lone
	limit   ratelimit.Limit // the one that holds, as far as is known
	// changed says that it is among what has changed, and dropped that it was forgotten.
	changed, dropped bool
	// until is when nothing of it counts any more.
	until time.Time
	// refused is when a refusal was last worth an entry in the audit log.
	refused time.Time
}

// Limits are the pulls that a Limiter has counted, under one set of rules.
type Limits struct {
	limiter *Limiter
	rules   Rules
}

// With puts rules over what is counted. What was counted under other rules counts under
// these too.
func (l *Limiter) With(rules Rules) *Limits {
	if rules.Any() {
		l.wanted.Store(true)
	}
	return &Limits{limiter: l, rules: rules}
}

func newLimiter(c Config) *Limiter {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Limiter{
		Config: c, holder: rand.Text(), mostSubjects: maxSubjects, mostMarks: maxMarks,
		subjects: map[subject]*counts{}, changed: map[*counts]struct{}{},
		families: families{known: map[digest.Digest]*family{}},
	}
}

// of is what a subject has pulled; mu is held. A new one may make others be forgotten.
func (l *Limiter) of(s subject) *counts {
	c, known := l.subjects[s]
	if !known {
		for len(l.subjects) >= l.mostSubjects || l.marks >= l.mostMarks && len(l.subjects) > 0 {
			l.forgetOne()
		}
		c = &counts{subject: s, source: s.source()}
		l.subjects[s] = c
	}
	return c
}

// forgetOne forgets of some subjects the one that has pulled least: who comes from many
// addresses makes the limit forget those, and nobody who has pulled more. mu is held.
func (l *Limiter) forgetOne() {
	var least *counts
	looked := 0
	for _, c := range l.subjects { // in an order that differs each time
		if least == nil || c.total() < least.total() {
			least = c
		}
		if looked++; looked == forgetAmong {
			break
		}
	}
	l.drop(least)
}

func (l *Limiter) drop(c *counts) {
	c.dropped = true
	l.marks -= c.marks()
	delete(l.subjects, c.subject)
	delete(l.changed, c)
}

// change notes that what a subject has pulled has to be written, unless it was forgotten
// meanwhile; mu is held.
func (l *Limiter) change(c *counts) {
	if !c.changed && !c.dropped {
		c.changed = true
		l.changed[c] = struct{}{}
	}
}

// refresh forgets what has left the window; mu is held.
func (l *Limiter) refresh(c *counts, limit ratelimit.Limit, now time.Time) {
	before := c.marks()
	c.own.Forget(limit, now)
	if len(c.others) > 0 {
		for i := range c.others {
			c.others[i].history.Forget(limit, now)
		}
		c.others = slices.DeleteFunc(c.others, func(o others) bool { return o.history.Total() == 0 })
	}
	l.marks -= before - c.marks()
	if c.limit != limit {
		c.limit = limit
		c.keepUntil(now.Add(c.full(now)))
	}
}

func (c *counts) keepUntil(t time.Time) {
	if t.After(c.until) {
		c.until = t
	}
}

// full is how long it takes until nothing counts any more.
func (c *counts) full(now time.Time) time.Duration {
	last := c.own.Last()
	for i := range c.others {
		if at := c.others[i].history.Last(); at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return 0
	}
	return max(0, last.Add(c.limit.Window).Sub(now))
}

func (c *counts) total() int {
	total := c.own.Total()
	for i := range c.others {
		total += c.others[i].history.Total()
	}
	return total
}

func (c *counts) marks() int {
	marks := c.own.Marks()
	for i := range c.others {
		marks += c.others[i].history.Marks()
	}
	return marks
}

// wait is how long another pull has to wait.
func (c *counts) wait(now time.Time) time.Duration {
	if c.total() < c.limit.Most {
		return 0
	}
	all := make([]*ratelimit.History, 0, 1+len(c.others))
	all = append(all, &c.own)
	for i := range c.others {
		all = append(all, &c.others[i].history)
	}
	return c.limit.Wait(now, all...)
}

// sweep forgets the subjects of which nothing counts any more; mu is held.
func (l *Limiter) sweep(now time.Time) {
	for _, c := range l.subjects {
		c.expireHalves(now)
		if !c.until.After(now) {
			l.drop(c)
		}
	}
	l.swept = now
	l.Metrics.subjects.Set(float64(len(l.subjects)))
}

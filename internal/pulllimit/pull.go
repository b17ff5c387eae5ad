package pulllimit

import (
	"fmt"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// Standing is what somebody has left of a limit.
type Standing struct {
	Limit     ratelimit.Limit
	Remaining int    // 0 and more
	Source    string // the account or address whose pulls are counted
	Anonymous bool   // it is an address
	Project   string // whose images alone are counted; "" for all that have no limit of their own
	// Wait is how long it takes until another pull is possible; zero: it is possible now.
	Wait time.Duration
	// Full is how long it takes until nothing of what was pulled counts any more.
	Full time.Duration
	// LoginHelps says that a stranger would have more pulls by logging in.
	LoginHelps bool
}

// ReachedError refuses a pull.
type ReachedError struct {
	Standing
	// First says that it is the subject's first refusal for a while.
	First bool
}

func (e *ReachedError) Error() string {
	return fmt.Sprintf("the pull limit of %s, %s, is reached for %s", e.Source, e.Limit, e.Wait.Round(time.Second))
}

// Pull is a pull that was let through and counted. A nil Pull is one that no limit counts.
type Pull struct {
	limiter   *Limiter
	counts    *counts // the subject's
	limit     ratelimit.Limit
	remaining int // after this one
	at        time.Time
	repo      oci.Repository
	// half is the GET of the index that this one completes, and shared the one that another
	// process served; both are nil where this one was counted.
	half   *half
	shared *usedHalf
	over   bool // it was answered, or is given back
}

func (p *Pull) counted() bool { return p.half == nil && p.shared == nil }

// Standing tells what the caller has left for the images of a project; false: no limit
// applies.
func (ls *Limits) Standing(c Caller, project string) (Standing, bool) {
	limit, s := ls.rules.of(c, project)
	if limit.Unlimited() {
		return Standing{}, false
	}
	l := ls.limiter
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	counted, known := l.subjects[s]
	if !known {
		counted = &counts{subject: s, source: s.source()}
	}
	l.refresh(counted, limit, now)
	standing := counted.standing(limit, max(0, limit.Most-counted.total()))
	standing.Wait, standing.Full = counted.wait(now), counted.full(now)
	standing.LoginHelps = ls.rules.loginHelps(c, s.project)
	return standing, true
}

// Take lets a GET of a manifest through and counts it, unless it completes a pull that was
// counted. Its answer is told to the Pull. The error is a *ReachedError.
func (ls *Limits) Take(c Caller, repo oci.Repository, ref oci.Reference) (*Pull, error) {
	limit, s := ls.rules.of(c, repo.Project())
	if limit.Unlimited() {
		return nil, nil
	}
	l := ls.limiter
	p := &Pull{limiter: l, limit: limit, at: l.Now(), repo: repo}
	l.mu.Lock()
	defer l.mu.Unlock()
	p.counts = l.of(s)
	l.refresh(p.counts, limit, p.at)
	l.pair(p, ref)
	if p.counted() {
		if wait := p.counts.wait(p.at); wait > 0 {
			return nil, l.refuse(p, wait, ls.rules.loginHelps(c, s.project))
		}
		l.count(p, ref)
	}
	p.remaining = max(0, limit.Most-p.counts.total())
	return p, nil
}

// standing is what is left to the subject of a limit, without how long anything takes and
// whether a login helps. It reads what never changes.
func (c *counts) standing(limit ratelimit.Limit, remaining int) Standing {
	return Standing{
		Limit: limit, Remaining: remaining, Source: c.source,
		Anonymous: c.subject.user == "", Project: c.subject.project,
	}
}

// pair finds the half that the GET of a digest completes; mu is held.
func (l *Limiter) pair(p *Pull, ref oci.Reference) {
	if ref.ByTag() {
		return
	}
	if p.half = p.counts.complete(p.repo, ref.Digest, p.at); p.half == nil && len(p.counts.others) > 0 {
		p.shared = p.counts.completeShared(sum(p.repo, ref.Digest), p.at)
	}
	if !p.counted() {
		l.change(p.counts)
	}
}

// count adds a pull; mu is held.
func (l *Limiter) count(p *Pull, ref oci.Reference) {
	c := p.counts
	before := c.own.Marks()
	c.own.Add(p.limit, p.at)
	l.marks += c.own.Marks() - before
	c.keepUntil(p.at.Add(c.full(p.at)))
	l.change(c)
	if l.Shared && !ref.ByTag() {
		c.noteLone(sum(p.repo, ref.Digest), p.at)
	}
}

// refuse makes the error of a pull that is one too many; mu is held.
func (l *Limiter) refuse(p *Pull, wait time.Duration, loginHelps bool) error {
	c := p.counts
	l.Metrics.of(c.subject).refused.Inc()
	first := p.at.Before(c.refused) || p.at.Sub(c.refused) >= refusalEvery
	if first {
		c.refused = p.at
	}
	standing := c.standing(p.limit, 0)
	standing.Wait, standing.Full, standing.LoginHelps = wait, c.full(p.at), loginHelps
	return &ReachedError{Standing: standing, First: first}
}

// Standing tells what the caller has left after this pull, without how long anything takes
// and whether a login helps; false: no limit applies.
func (p *Pull) Standing() (Standing, bool) {
	if p == nil {
		return Standing{}, false
	}
	return p.counts.standing(p.limit, p.remaining), true
}

// Served tells that the manifest is about to be sent: then the pull counts. It is called
// before the first byte is sent, since the second GET of the pull may follow at once.
func (p *Pull) Served(m oci.Manifest) {
	if p == nil || p.over {
		return
	}
	p.over = true
	if !p.counted() {
		return
	}
	p.limiter.Metrics.of(p.counts.subject).counted.Inc()
	if oci.IsIndex(m.MediaType) {
		p.open(m)
	}
}

// GiveBack takes the pull out of the count again, unless it was served.
func (p *Pull) GiveBack() {
	if p == nil || p.over {
		return
	}
	p.over = true
	l := p.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.counts.dropped {
		return
	}
	l.change(p.counts)
	switch {
	case p.half != nil:
		p.counts.reopen(p.half)
	case p.shared != nil:
		p.counts.giveBackShared(*p.shared)
	default:
		l.uncount(p)
	}
}

// uncount undoes count; mu is held.
func (l *Limiter) uncount(p *Pull) {
	c := p.counts
	before := c.own.Marks()
	c.own.Remove(p.limit, p.at)
	l.marks -= before - c.own.Marks()
	c.lones = slices.DeleteFunc(c.lones, func(one lone) bool { return one.at.Equal(p.at) })
	p.remaining = min(p.remaining+1, p.limit.Most)
}

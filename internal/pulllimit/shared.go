package pulllimit

import (
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/ratelimit"
)

const (
	// loneLife is how long after a GET of a manifest it may turn out that another process
	// served its index: until then it has told everybody.
	loneLife = 30 * time.Second
	// maxLones bounds how many of them are kept for each subject.
	maxLones = 1000
	// maxShared bounds each list of what a process tells of a subject.
	maxShared = 200
)

// others is what another process has counted of a subject.
type others struct {
	holder  string
	history ratelimit.History
	halves  []sharedHalf
}

// sharedHalf is a half of another process.
type sharedHalf struct {
	id   uint64
	at   time.Time
	sums []uint64 // of the manifests that complete it, sorted
}

// usedHalf is a half of another process that was completed here.
type usedHalf struct {
	holder string
	id     uint64
	at     time.Time // when the half was opened
}

// lone is a GET of a manifest by digest that was counted. Where another process had served
// its index just before, it was none of its own.
type lone struct {
	sum uint64
	at  time.Time
}

// completeShared finds the half of another process that a GET of a manifest completes, and
// takes it; nil when there is none.
func (c *counts) completeShared(sum uint64, now time.Time) *usedHalf {
	for _, o := range c.others {
		for _, h := range o.halves {
			if now.Sub(h.at) > halfLife {
				continue
			}
			if _, found := slices.BinarySearch(h.sums, sum); !found || c.hasUsed(o.holder, h.id) {
				continue
			}
			used := usedHalf{holder: o.holder, id: h.id, at: h.at}
			c.used = append(c.used, used)
			return &used
		}
	}
	return nil
}

func (c *counts) hasUsed(holder string, id uint64) bool {
	return slices.ContainsFunc(c.used, func(u usedHalf) bool { return u.holder == holder && u.id == id })
}

// giveBackShared undoes completeShared.
func (c *counts) giveBackShared(used usedHalf) {
	c.used = slices.DeleteFunc(c.used, func(u usedHalf) bool { return u == used })
}

// noteLone keeps a GET by digest for as long as it may turn out to belong to another one.
func (c *counts) noteLone(sum uint64, at time.Time) {
	gone := 0
	for gone < len(c.lones) && at.Sub(c.lones[gone].at) > loneLife {
		gone++
	}
	c.lones = c.lones[gone:]
	if len(c.lones) < maxLones {
		c.lones = append(c.lones, lone{sum, at})
	}
}

// merge takes over what another process has counted of a subject; mu is held.
func (l *Limiter) merge(s subject, holder string, told report, expires, now time.Time) {
	c := l.of(s)
	before := c.marks()
	i := slices.IndexFunc(c.others, func(o others) bool { return o.holder == holder })
	if i < 0 {
		i = len(c.others)
		c.others = append(c.others, others{holder: holder})
	}
	c.others[i].history, c.others[i].halves = told.history, told.halves
	l.marks += c.marks() - before
	c.keepUntil(expires)
	c.keepUntil(now.Add(c.full(now))) // the other process may know another limit
	for _, used := range told.used {
		if used.holder == l.holder {
			c.halves = slices.DeleteFunc(c.halves, func(h *half) bool { return h.id == used.id })
		}
	}
	if l.refund(c) {
		l.change(c)
	}
}

// refund takes out of the count what completes a pull that began at another process; mu is
// held.
func (l *Limiter) refund(c *counts) (some bool) {
	c.lones = slices.DeleteFunc(c.lones, func(lone lone) bool {
		used := c.completeShared(lone.sum, lone.at)
		if used == nil {
			return false
		}
		before := c.own.Marks()
		c.own.Remove(c.limit, lone.at)
		l.marks -= before - c.own.Marks()
		some = true
		return true
	})
	return some
}

package fairshare

import (
	"net/url"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/ratelimit"
)

// kind says what is counted.
type kind string

const (
	open   kind = "open"    // pulls of an account out of what is set aside for nobody
	drawn  kind = "reserve" // pulls of an account out of a project's reserve
	spent  kind = "budget"  // pulls for a project
	prefix      = "fairshare/"
)

// subject is what is counted under.
type subject struct {
	upstream           string
	kind               kind
	credential, source string // empty for a budget
	project            string // empty for what is open
}

// key is the subject as the database has it.
func (s subject) key() string {
	parts := []string{s.upstream, string(s.kind), s.credential, s.source, s.project}
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return prefix + strings.Join(parts, "/")
}

func parseSubject(key string) (s subject, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 5 {
		return subject{}, false
	}
	for i, p := range parts {
		part, err := url.PathUnescape(p)
		if err != nil {
			return subject{}, false
		}
		parts[i] = part
	}
	s = subject{upstream: parts[0], kind: kind(parts[1]), credential: parts[2], source: parts[3], project: parts[4]}
	return s, s.kind == open || s.kind == drawn || s.kind == spent
}

// count is when pulls were made under one subject, here and by other processes.
type count struct {
	own     ratelimit.History
	others  map[string]*ratelimit.History // by their holders
	window  time.Duration                 // the longest that was asked for
	changed bool
}

// total forgets what has left the limit's window, and counts the rest.
func (c *count) total(l ratelimit.Limit, now time.Time) int64 {
	c.window = max(c.window, l.Window)
	c.own.Forget(l, now)
	all := c.own.Total()
	for holder, h := range c.others {
		if h.Forget(l, now); h.Total() == 0 {
			delete(c.others, holder)
		}
		all += h.Total()
	}
	return int64(all)
}

// free is how long it takes until so many of the pulls have left the limit's window; false
// when there are not as many.
func (c *count) free(l ratelimit.Limit, many int64, now time.Time) (time.Duration, bool) {
	total := c.total(l, now)
	if many > total {
		return 0, false
	}
	all := []*ratelimit.History{&c.own}
	for _, h := range c.others {
		all = append(all, h)
	}
	l.Most = int(total - many + 1)
	return l.Wait(now, all...), true
}

// last is when the newest pull was made.
func (c *count) last() time.Time {
	last := c.own.Last()
	for _, h := range c.others {
		if at := h.Last(); at.After(last) {
			last = at
		}
	}
	return last
}

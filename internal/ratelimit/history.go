package ratelimit

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// History is when something happened, as far as a limit has to know. The zero value is
// ready. A time never counts as earlier than it was, so that a limit is never exceeded; it
// may count as later by a thousandth of the window where a limit allows more than a
// thousand.
type History struct {
	marks []mark // oldest first
	total int
}

// mark is a time, in nanoseconds since 1970, and how often something happened at it.
type mark struct {
	at    int64
	count int
}

// Total is how often it happened.
func (h *History) Total() int { return h.total }

// Add notes that it happens now, for a limit.
func (h *History) Add(l Limit, now time.Time) {
	at := l.stamp(now)
	h.total++
	i := len(h.marks)
	for i > 0 && h.marks[i-1].at > at {
		i-- // the clock was set back, by less than Forget mends
	}
	if i > 0 && h.marks[i-1].at == at {
		h.marks[i-1].count++
		return
	}
	h.marks = slices.Insert(h.marks, i, mark{at, 1})
}

// Remove takes back an Add for the same limit at the same time, unless that was forgotten
// meanwhile.
func (h *History) Remove(l Limit, at time.Time) {
	stamp := l.stamp(at)
	for i := len(h.marks) - 1; i >= 0 && h.marks[i].at >= stamp; i-- {
		if h.marks[i].at != stamp {
			continue
		}
		h.total--
		if h.marks[i].count--; h.marks[i].count == 0 {
			h.marks = slices.Delete(h.marks, i, i+1)
		}
		return
	}
}

// Forget drops what has left the limit's window. What lies in the future, because the
// clock was set back, is taken to happen now, or nobody knows how long it would count.
func (h *History) Forget(l Limit, now time.Time) {
	first, gone := 0, now.Add(-l.Window).UnixNano()
	for first < len(h.marks) && h.marks[first].at <= gone {
		h.total -= h.marks[first].count
		first++
	}
	h.marks = h.marks[first:]
	latest := l.stamp(now)
	for i := len(h.marks) - 1; i >= 0 && h.marks[i].at > latest; i-- {
		h.marks[i].at = latest
	}
}

// Last is when it happened last; the zero time: never.
func (h *History) Last() time.Time {
	if len(h.marks) == 0 {
		return time.Time{}
	}
	return time.Unix(0, h.marks[len(h.marks)-1].at)
}

// Marks is how many times are kept, which is what a history takes of memory.
func (h *History) Marks() int { return len(h.marks) }

// stamp rounds a time up to what a history keeps for the limit.
func (l Limit) stamp(t time.Time) int64 {
	at, granule := t.UnixNano(), l.granule()
	if rest := at % granule; rest > 0 {
		at += granule - rest
	}
	return at
}

// Append writes the history behind b: how many marks there are, and for each the
// nanoseconds since the one before and its count, as varints.
func (h *History) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(h.marks)))
	var before int64
	for _, m := range h.marks {
		b = binary.AppendUvarint(b, uint64(m.at-before))
		b = binary.AppendUvarint(b, uint64(m.count))
		before = m.at
	}
	return b
}

var errHistory = errors.New("this is no history of a limit")

const (
	// maxMarks and maxCount bound what ReadHistory accepts.
	maxMarks = 1 << 20
	maxCount = 2 * maxMost
)

// ReadHistory reads what Append has written, and returns what follows it.
func ReadHistory(b []byte) (h History, rest []byte, err error) {
	count, b, ok := uvarint(b, maxMarks)
	// Each mark takes two bytes and more, so that nobody is made to reserve room in vain.
	if !ok || count > uint64(len(b)/2) {
		return History{}, nil, errHistory
	}
	h.marks = make([]mark, 0, count)
	var at uint64
	for range count {
		var step, times uint64
		if step, b, ok = uvarint(b, 1<<62); !ok {
			return History{}, nil, errHistory
		}
		if times, b, ok = uvarint(b, maxCount); !ok || times == 0 {
			return History{}, nil, errHistory
		}
		if at += step; at > 1<<62 || uint64(h.total)+times > maxCount {
			return History{}, nil, errHistory
		}
		h.marks = append(h.marks, mark{int64(at), int(times)})
		h.total += int(times)
	}
	return h, b, nil
}

func uvarint(b []byte, most uint64) (value uint64, rest []byte, ok bool) {
	value, n := binary.Uvarint(b)
	if n <= 0 || value > most {
		return 0, nil, false
	}
	return value, b[n:], true
}

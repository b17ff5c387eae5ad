package pulllimit

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/ratelimit"
)

// reportVersion is the first byte of a report. Another one is what a later version of
// Larder has written.
const reportVersion = 1

// report is what a process tells the others of a subject: when it pulled, which indexes
// wait for one of their manifests, and which halves of others were completed here.
type report struct {
	history ratelimit.History
	halves  []sharedHalf
	used    []usedHalf
}

// report is what the others are told; mu is held.
func (c *counts) report(now time.Time) report {
	c.expireHalves(now)
	c.used = slices.DeleteFunc(c.used, func(u usedHalf) bool { return now.Sub(u.at) > halfLife })
	r := report{history: c.own, used: c.used[max(0, len(c.used)-maxShared):]}
	for _, h := range c.halves[max(0, len(c.halves)-maxShared):] {
		shared := sharedHalf{id: h.id, at: h.at}
		for child := range maps.Keys(h.family.children) {
			shared.sums = append(shared.sums, sum(h.repo, child))
		}
		slices.Sort(shared.sums)
		r.halves = append(r.halves, shared)
	}
	return r
}

func (r report) encode() []byte {
	b := r.history.Append([]byte{reportVersion})
	b = binary.AppendUvarint(b, uint64(len(r.halves)))
	for _, h := range r.halves {
		b = binary.AppendUvarint(b, h.id)
		b = binary.AppendVarint(b, h.at.UnixMicro())
		b = binary.AppendUvarint(b, uint64(len(h.sums)))
		for _, s := range h.sums {
			b = binary.BigEndian.AppendUint64(b, s)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.used)))
	for _, u := range r.used {
		b = binary.AppendUvarint(b, uint64(len(u.holder)))
		b = append(b, u.holder...)
		b = binary.AppendUvarint(b, u.id)
		b = binary.AppendVarint(b, u.at.UnixMicro())
	}
	return b
}

var errReport = errors.New("this is no count of pulls that this version of Larder knows")

// readReport reads what encode has written.
func readReport(b []byte) (r report, err error) {
	if len(b) == 0 || b[0] != reportVersion {
		return report{}, errReport
	}
	history, rest, err := ratelimit.ReadHistory(b[1:])
	if err != nil {
		return report{}, err
	}
	in := &reading{rest: rest}
	r.history = history
	for range in.count(maxShared) {
		h := sharedHalf{id: in.number(), at: in.time()}
		for range in.count(maxChildren) {
			h.sums = append(h.sums, in.sum())
		}
		slices.Sort(h.sums)
		r.halves = append(r.halves, h)
	}
	for range in.count(maxShared) {
		r.used = append(r.used, usedHalf{holder: in.text(), id: in.number(), at: in.time()})
	}
	if in.failed || len(in.rest) > 0 {
		return report{}, errReport
	}
	return r, nil
}

// reading takes a report apart. After a failure all that follows is zero.
type reading struct {
	rest   []byte
	failed bool
}

func (in *reading) take(n int) []byte {
	if n <= 0 || n > len(in.rest) {
		in.failed, in.rest = true, nil
		return make([]byte, 8)
	}
	taken := in.rest[:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *reading) number() uint64 {
	value, n := binary.Uvarint(in.rest)
	in.take(n)
	return value
}

func (in *reading) time() time.Time {
	value, n := binary.Varint(in.rest)
	in.take(n)
	return time.UnixMicro(value)
}

// count is how many of something follow; none when there are too many.
func (in *reading) count(most int) int {
	value := in.number()
	if value > uint64(most) {
		in.failed = true
	}
	if in.failed {
		return 0
	}
	return int(value)
}

func (in *reading) sum() uint64 { return binary.BigEndian.Uint64(in.take(8)) }

func (in *reading) text() string {
	const most = 64
	length := in.count(most)
	if length == 0 {
		in.failed = true
		return ""
	}
	return string(in.take(length))
}

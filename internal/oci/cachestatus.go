package oci

import (
	"strconv"
	"strings"
	"time"
)

// CacheStatus is the value of the Cache-Status header (RFC 9211) for one answer of
// a cache project.
type CacheStatus struct {
	Hit           bool
	Forward       string         // RFC 9211, §2.2: "miss", "stale", ...; "" when nothing was forwarded
	ForwardStatus int            // the upstream's status, 0 when there was none to tell
	TTL           *time.Duration // remaining freshness; negative on a stale answer
	Stored        bool
	Collapsed     bool
	Detail        string
}

// String renders the header's value, as in `larder; hit; ttl=-5; detail=stale-if-error`.
func (c CacheStatus) String() string {
	var b strings.Builder
	b.WriteString("larder")
	if c.Hit {
		b.WriteString("; hit")
	}
	if c.Forward != "" {
		b.WriteString("; fwd=" + c.Forward)
	}
	if c.ForwardStatus != 0 {
		b.WriteString("; fwd-status=" + strconv.Itoa(c.ForwardStatus))
	}
	if c.TTL != nil {
		b.WriteString("; ttl=" + strconv.FormatInt(int64(c.TTL.Truncate(time.Second)/time.Second), 10))
	}
	if c.Stored {
		b.WriteString("; stored")
	}
	if c.Collapsed {
		b.WriteString("; collapsed")
	}
	if c.Detail != "" {
		b.WriteString("; detail=" + c.Detail)
	}
	return b.String()
}

// Served tells how an answer was come by. The zero value is an answer of a hosted
// project, which has nothing to tell.
type Served struct {
	Cache *CacheStatus
	// Warning is the text of a `Warning: 299` header for a stale copy, "" when fresh.
	Warning string
	// Age is the time since the copy was last known to be the upstream's, told on
	// stale answers only.
	Age time.Duration
	// Cause is why a stale copy is served, nil when fresh.
	Cause error
}

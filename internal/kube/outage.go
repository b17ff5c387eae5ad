package kube

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// askAgain is how often one question finds out whether the API server is back, while
	// the others are answered from memory and need not wait.
	askAgain = time.Second
	// logAgain is how often the log says that it is not.
	logAgain = time.Minute
)

// outage knows whether the API server answers.
type outage struct {
	log *slog.Logger

	mu       sync.Mutex
	since    time.Time // zero: it answers
	next     time.Time // when to ask again
	told     bool      // the log says that this outage began
	loggedAt time.Time
}

// mayAsk tells whether somebody who has a remembered answer should ask all the same.
func (o *outage) mayAsk(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return true
	}
	if now.Before(o.next) {
		return false
	}
	o.next = now.Add(askAgain)
	return true
}

func (o *outage) began(now time.Time, silence *UnansweredError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since, o.told = now, false
	}
	o.next = now.Add(askAgain)
	if o.loggedAt.IsZero() || now.Sub(o.loggedAt) >= logAgain {
		o.told, o.loggedAt = true, now
		o.log.Warn("the cluster decides nothing: what it decided in the last 10 minutes stays in force, and nothing else is allowed",
			"since", o.since, "error", silence.Err)
	}
}

func (o *outage) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() && o.told {
		o.log.Info("the cluster decides again")
	}
	o.since = time.Time{}
}

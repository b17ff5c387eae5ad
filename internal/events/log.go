// Package events keeps what people did and were refused: the audit log.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/larder-registry/larder/internal/metadata"
)

// Results of what was asked for.
const (
	Done    = "done"
	Refused = "refused" // for want of a right or of a good credential
	Failed  = "failed"
)

const (
	// Kept is how long entries are kept.
	Kept = 90 * 24 * time.Hour
	// recordLimit bounds how long a request waits until its entry is written.
	recordLimit = 5 * time.Second
	// mostRefusals is how many refusals, and failures of strangers, are recorded in a
	// minute: whoever guesses passwords must not fill the disk.
	mostRefusals = 600
	// maxField bounds each text of an entry, in bytes.
	maxField = 512
	// deletedAtOnce is how many old entries one transaction deletes: others wait for it.
	deletedAtOnce = 5000
)

// Event is something that somebody did or was refused. It holds no secrets.
type Event struct {
	Actor   string // "" for a stranger
	Address string // the client's
	Action  string // such as delete-project
	Project string // "" for what concerns the whole registry
	Object  string
	Result  string // one of the results above
	Detail  string
}

// Store keeps the entries.
type Store interface {
	Append(ctx context.Context, e metadata.AuditEntry) error
	List(ctx context.Context, q metadata.AuditQuery) ([]metadata.AuditEntry, error)
	DeleteBefore(ctx context.Context, at time.Time, limit int) (deleted int64, err error)
}

// Log is the audit log. It is safe for concurrent use.
type Log struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	mu       sync.Mutex
	minute   time.Time // the one that refusals are counted in
	refusals int
}

// New makes a Log on a store. A now of nil means time.Now.
func New(store Store, now func() time.Time, log *slog.Logger) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{store: store, now: now, log: log}
}

// Record writes an entry before it returns, also for a client that has gone. What cannot
// be written is in the program's log; what was asked for is done all the same. Of the
// refusals of one minute, and of what failed for strangers, the first 600 are recorded, and
// that there were more.
func (l *Log) Record(ctx context.Context, e Event) {
	if (e.Result == Refused || e.Result == Failed && e.Actor == "") && !l.admit(&e) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	err := l.store.Append(ctx, metadata.AuditEntry{
		At: l.now(), Actor: clean(e.Actor), Address: clean(e.Address), Action: clean(e.Action),
		Project: clean(e.Project), Object: clean(e.Object), Result: e.Result, Detail: clean(e.Detail),
	})
	if err != nil {
		l.log.Error("an event was not written to the audit log", "actor", e.Actor, "address", e.Address, "action", e.Action,
			"project", e.Project, "object", e.Object, "result", e.Result, "error", err)
	}
}

// admit counts a refusal. The first one too many says so.
func (l *Log) admit(e *Event) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Before(l.minute) || now.Sub(l.minute) >= time.Minute {
		l.minute, l.refusals = now, 0
	}
	l.refusals++
	if l.refusals == mostRefusals+1 {
		*e = Event{Action: "record-events", Result: Refused, Detail: fmt.Sprintf("more than %d refusals within a minute: the others are in the server's log only", mostRefusals)}
	}
	return l.refusals <= mostRefusals+1
}

// List tells of entries, the newest first.
func (l *Log) List(ctx context.Context, q metadata.AuditQuery) ([]metadata.AuditEntry, error) {
	return l.store.List(ctx, q)
}

// Shorten deletes what is older than Kept, some at a time.
func (l *Log) Shorten(ctx context.Context) error {
	for {
		deleted, err := l.store.DeleteBefore(ctx, l.now().Add(-Kept), deletedAtOnce)
		if err != nil || deleted < deletedAtOnce {
			return err
		}
	}
}

// clean bounds a text and takes out what steers terminals.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxField {
		s = strings.ToValidUTF8(s[:maxField], "")
	}
	return s
}

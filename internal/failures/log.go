// Package failures keeps what caches refused or served stale, and why, under ids that
// people can type: each is in the answer that it explains. They are written off the path
// of requests, and what happens again and again is one failure with a count.
package failures

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/batch"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/ratelimit"
)

const (
	// Kept is how long a failure is kept after it has happened last, maxKept how many are.
	Kept    = 7 * 24 * time.Hour
	maxKept = 20_000
	// sameWithin is how soon a failure has to come again to be the same, and sameFor how
	// long it may go on so.
	sameWithin = 10 * time.Minute
	sameFor    = 24 * time.Hour
	// maxRecent is how many failures are known again.
	maxRecent = 20_000
	// noteEvery is how often failures are written, maxWaiting how many may wait for it, and
	// notesAtOnce how many one transaction writes.
	noteEvery   = 2 * time.Second
	maxWaiting  = 20_000
	notesAtOnce = 2000
	// deletedAtOnce is how many old failures one transaction deletes.
	deletedAtOnce = 5000
	// maxField bounds each text, in bytes.
	maxField = 2000
)

// Who makes up new failures without end must neither fill the database nor push out those
// of others.
func allowances() (ofOne, ofAll ratelimit.Bucket) {
	return ratelimit.Bucket{Burst: 100, Every: 6 * time.Second}, ratelimit.Bucket{Burst: 2000, Every: 200 * time.Millisecond}
}

// Store keeps the failures.
type Store interface {
	Note(ctx context.Context, all []metadata.Failure) error
	Get(ctx context.Context, id string) (metadata.Failure, error)
	List(ctx context.Context, limit int) ([]metadata.Failure, error)
	ListOf(ctx context.Context, user string, limit int) ([]metadata.Failure, error)
	DeleteBefore(ctx context.Context, at time.Time, keep, limit int) (deleted int64, err error)
}

// Log keeps failures. It is safe for concurrent use.
type Log struct {
	store   Store
	now     func() time.Time
	waiting *batch.Writer[metadata.Failure]

	mu     sync.Mutex
	recent *otter.Cache[sameness, recent]
	// full is when an asker's allowance of new failures is full again, and all of them's.
	full    *otter.Cache[string, time.Time]
	allFull time.Time
}

// sameness is what failures have in common that are one and the same.
type sameness struct {
	user, repository, asked, kind, reference, rule, code, upstreamKind string
	upstreamStatus                                                     int
}

type recent struct {
	id          string
	first, last time.Time
}

// New makes a Log on a store; a now of nil means time.Now. Run writes what is noted, Close
// the last of it.
func New(store Store, now func() time.Time, log *slog.Logger) *Log {
	if now == nil {
		now = time.Now
	}
	inline := func(task func()) { task() }
	l := &Log{
		store: store, now: now,
		recent: otter.Must(&otter.Options[sameness, recent]{MaximumSize: maxRecent, Executor: inline}),
		full:   otter.Must(&otter.Options[string, time.Time]{MaximumSize: maxRecent, Executor: inline}),
	}
	l.waiting = batch.New(batch.Config[metadata.Failure]{
		What: "failures", Write: l.write, Every: noteEvery, Most: maxWaiting, AtOnce: notesAtOnce, Log: log,
	})
	return l
}

// write stores failures, those that came again at once.
func (l *Log) write(ctx context.Context, some []metadata.Failure) error {
	var all []metadata.Failure
	places := map[string]int{}
	for _, f := range some {
		place, again := places[f.ID]
		if !again {
			places[f.ID] = len(all)
			all = append(all, f)
			continue
		}
		f.Count, f.Client = f.Count+all[place].Count, all[place].Client
		all[place] = f
	}
	return l.store.Note(ctx, all)
}

// Note takes note of a failure and returns its id; "" when there are too many to keep it.
// Its ID, times and count are ignored. It waits for no storage.
func (l *Log) Note(f metadata.Failure) string {
	now := l.now()
	seen, ok := l.identify(f, now)
	if !ok {
		return ""
	}
	f.ID, f.FirstAt, f.LastAt, f.Count = seen.id, seen.first, now, 1
	f.Told = fillFailed(f)
	f.Asked, f.Message, f.UpstreamText = cut(f.Asked), cut(f.Message), cut(f.UpstreamText)
	l.waiting.Put(f)
	return f.ID
}

// identify finds the failure that this one is again, or begins a new one.
func (l *Log) identify(f metadata.Failure, now time.Time) (recent, bool) {
	key := sameness{f.User, f.Repository, f.Asked, f.Kind, f.Reference, f.Rule, f.Code, f.UpstreamKind, f.UpstreamStatus}
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, ok := l.recent.GetIfPresent(key)
	if !ok || now.Sub(seen.last) >= sameWithin || now.Sub(seen.first) >= sameFor || now.Before(seen.first) {
		if !l.admit(f, now) {
			return recent{}, false
		}
		seen = recent{id: newID(), first: now}
	}
	seen.last = now
	l.recent.Set(key, seen)
	return seen, true
}

// admit takes a new failure out of the allowance of who asks and of all.
func (l *Log) admit(f metadata.Failure, now time.Time) bool {
	ofOne, ofAll := allowances()
	who := "user " + f.User
	if f.User == "" {
		who = "client " + f.Client
	}
	full, _ := l.full.GetIfPresent(who)
	full, wait := ofOne.Take(full, now)
	if wait > 0 {
		return false
	}
	if l.allFull, wait = ofAll.Take(l.allFull, now); wait > 0 {
		return false
	}
	l.full.Set(who, full)
	return true
}

// Run writes what is noted every few seconds until ctx ends.
func (l *Log) Run(ctx context.Context) { l.waiting.Run(ctx) }

// Close writes what is left.
func (l *Log) Close() { l.waiting.Close() }

// Get finds a failure by its id, those of the last moment included. The error is
// metadata.ErrNotFound when there is none.
func (l *Log) Get(ctx context.Context, id string) (metadata.Failure, error) {
	if err := l.waiting.Flush(ctx); err != nil {
		return metadata.Failure{}, err
	}
	return l.store.Get(ctx, canonical(id))
}

// List tells of failures, the newest first.
func (l *Log) List(ctx context.Context, limit int) ([]metadata.Failure, error) {
	if err := l.waiting.Flush(ctx); err != nil {
		return nil, err
	}
	return l.store.List(ctx, limit)
}

// ListOf tells of a user's failures, the newest first.
func (l *Log) ListOf(ctx context.Context, user string, limit int) ([]metadata.Failure, error) {
	if err := l.waiting.Flush(ctx); err != nil {
		return nil, err
	}
	return l.store.ListOf(ctx, user, limit)
}

// Shorten deletes what is older than Kept, and what is too much, some at a time.
func (l *Log) Shorten(ctx context.Context) error {
	for {
		deleted, err := l.store.DeleteBefore(ctx, l.now().Add(-Kept), maxKept, deletedAtOnce)
		if err != nil || deleted < deletedAtOnce {
			return err
		}
	}
}

// alphabet is Crockford's: no letter in it is taken for a digit, or for another.
const (
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	idLength = 8
)

func newID() string {
	var random [idLength]byte
	_, _ = rand.Read(random[:]) // never fails
	for i, b := range random {
		random[i] = alphabet[int(b)%len(alphabet)]
	}
	return string(random[:])
}

// canonical is an id as it was given out, however somebody has typed it.
func canonical(id string) string {
	return strings.NewReplacer("O", "0", "I", "1", "L", "1", "-", "", " ", "").Replace(strings.ToUpper(id))
}

func cut(text string) string {
	if len(text) <= maxField {
		return text
	}
	return strings.ToValidUTF8(text[:maxField], "")
}

package events

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

// book is a store in memory.
type book struct {
	entries []metadata.AuditEntry
	failing error
	deleted []int64 // what the next deletions tell
	before  []time.Time
}

func (b *book) Append(ctx context.Context, e metadata.AuditEntry) error {
	if b.failing != nil {
		return b.failing
	}
	b.entries = append(b.entries, e)
	return ctx.Err()
}

func (b *book) List(context.Context, metadata.AuditQuery) ([]metadata.AuditEntry, error) {
	return b.entries, nil
}

func (b *book) DeleteBefore(_ context.Context, at time.Time, _ int) (int64, error) {
	b.before = append(b.before, at)
	n := b.deleted[0]
	b.deleted = b.deleted[1:]
	return n, nil
}

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newLog(b *book, out *bytes.Buffer) (*Log, *time.Time) {
	now := noon
	return New(b, func() time.Time { return now }, slog.New(slog.NewTextHandler(out, nil))), &now
}

func TestAnEventIsWrittenForAClientThatHasGone(t *testing.T) {
	b := &book{}
	log, _ := newLog(b, &bytes.Buffer{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log.Record(ctx, Event{Actor: "alice", Address: "192.0.2.1", Action: "delete-project", Project: "demo", Object: "demo", Result: Done})
	want := []metadata.AuditEntry{{At: noon, Actor: "alice", Address: "192.0.2.1", Action: "delete-project", Project: "demo", Object: "demo", Result: "done"}}
	if diff := cmp.Diff(want, b.entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestTextsOfStrangersAreBoundedAndSteerNoTerminal(t *testing.T) {
	b := &book{}
	log, _ := newLog(b, &bytes.Buffer{})
	log.Record(t.Context(), Event{Actor: "\x1b[31mroot\n", Object: strings.Repeat("ö", 1000), Result: Done})
	if got := b.entries[0]; got.Actor != " [31mroot " || len(got.Object) > maxField {
		t.Errorf("entry = %+v", got)
	}
}

func TestWhoeverGuessesPasswordsDoesNotFillTheLog(t *testing.T) {
	b := &book{}
	log, now := newLog(b, &bytes.Buffer{})
	for range mostRefusals {
		log.Record(t.Context(), Event{Action: "login", Result: Refused})
		log.Record(t.Context(), Event{Action: "login-oidc", Result: Failed})
	}
	log.Record(t.Context(), Event{Action: "create-project", Result: Done})
	if len(b.entries) != mostRefusals+2 || !strings.Contains(b.entries[mostRefusals].Detail, "more than 600 refusals") {
		t.Errorf("%d entries, the last but one %+v", len(b.entries), b.entries[len(b.entries)-2])
	}
	*now = noon.Add(time.Minute)
	log.Record(t.Context(), Event{Action: "login", Result: Refused})
	if len(b.entries) != mostRefusals+3 {
		t.Errorf("nothing is recorded in the next minute")
	}
}

func TestWhatCannotBeWrittenIsInTheProgramsLog(t *testing.T) {
	var out bytes.Buffer
	log, _ := newLog(&book{failing: errors.New("disk full")}, &out)
	log.Record(t.Context(), Event{Actor: "alice", Action: "delete-project", Result: Done})
	if text := out.String(); !strings.Contains(text, "delete-project") || !strings.Contains(text, "disk full") {
		t.Errorf("log = %s", text)
	}
}

func TestOldEntriesAreDeletedSomeAtATime(t *testing.T) {
	b := &book{deleted: []int64{deletedAtOnce, deletedAtOnce, 3}}
	log, _ := newLog(b, &bytes.Buffer{})
	if err := log.Shorten(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.before) != 3 || !b.before[0].Equal(noon.Add(-Kept)) {
		t.Errorf("deleted before %v", b.before)
	}
}

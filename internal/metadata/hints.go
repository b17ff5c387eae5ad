package metadata

import "context"

// MaxHint is the longest hint, in bytes: PostgreSQL takes 7,999, with a process's name in
// front.
const MaxHint = 7900

// Hints are what processes on one database tell each other that is worth no row: who
// listens at that moment hears it, and nobody misses one that is lost.
type Hints struct{ store *store }

// Tell lets the other processes hear a hint; see DB.Watch. It waits for the database and
// for none of them, and tries once. With SQLite there are no others.
func (hs *Hints) Tell(ctx context.Context, hint string) error {
	if hs.store.notify == "" {
		return nil
	}
	if _, err := hs.store.writer.ExecContext(ctx, hs.store.notify, hintsChannel, signed(hs.store.process, hint)); err != nil {
		return failed(err, "telling other processes a hint")
	}
	return nil
}

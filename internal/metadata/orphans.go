package metadata

import (
	"context"
	"database/sql"
	"time"
)

// Orphan is bytes in blob storage that no row leads to.
type Orphan struct {
	Key    string
	SeenAt time.Time // since when they have been seen so
}

// Orphans keeps since when bytes in blob storage have been seen that no row leads to.
// The bytes of a blob that is just being stored look like that, too, but not for long.
type Orphans struct{ store *store }

// Among tells those of the keys that nothing leads to, each once and in the order
// given. SeenAt is zero for one that was not noted yet.
func (o *Orphans) Among(ctx context.Context, keys []string) ([]Orphan, error) {
	names, err := asJSON(keys)
	if err != nil {
		return nil, err
	}
	among := o.store.among("$1")
	// To a key leads a blob, one that is damaged, or a transfer to object storage.
	found, err := list(ctx, o.store, scanOne[string], `
		SELECT storage_key FROM blobs WHERE storage_key `+among+`
		UNION SELECT storage_key FROM damaged_blobs WHERE storage_key `+among+`
		UNION SELECT storage_key FROM multiparts WHERE storage_key `+among, names)
	if err != nil {
		return nil, failed(err, "looking for the rows of %d keys", len(keys))
	}
	noted, err := list(ctx, o.store, scanOrphan, `
		SELECT storage_key, seen_at FROM orphans WHERE storage_key `+among, names)
	if err != nil {
		return nil, failed(err, "reading which of %d keys were orphans before", len(keys))
	}
	since := make(map[string]time.Time, len(noted))
	for _, one := range noted {
		since[one.Key] = one.SeenAt
	}
	var all []Orphan
	for _, key := range without(keys, found) {
		all = append(all, Orphan{Key: key, SeenAt: since[key]})
	}
	return all, nil
}

// Note remembers that orphans were seen at a time, which is where SeenAt begins.
func (o *Orphans) Note(ctx context.Context, orphans []Orphan, at time.Time) error {
	err := o.store.update(ctx, func(tx *sql.Tx) error {
		for _, one := range orphans {
			_, err := change(ctx, tx, `
				INSERT INTO orphans (storage_key, seen_at, last_seen_at) VALUES ($1, $2, $2)
				ON CONFLICT (storage_key) DO UPDATE SET last_seen_at = excluded.last_seen_at`, one.Key, stamp{at})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return failed(err, "noting %d orphans", len(orphans))
	}
	return nil
}

// ForgetOlder forgets the orphans that were last seen before a time: their bytes are
// gone, or something leads to them.
func (o *Orphans) ForgetOlder(ctx context.Context, lastSeenBefore time.Time) error {
	if _, err := o.store.change(ctx, "DELETE FROM orphans WHERE last_seen_at < $1", stamp{lastSeenBefore}); err != nil {
		return failed(err, "forgetting orphans that were not seen again")
	}
	return nil
}

func scanOrphan(r row) (Orphan, error) {
	var o Orphan
	err := r.Scan(&o.Key, scanStamp{&o.SeenAt})
	return o, err
}

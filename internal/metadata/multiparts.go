package metadata

import (
	"context"
	"time"
)

// Multiparts keeps which multipart uploads object storage was asked to begin: nobody
// else can be relied on to list those that were never ended.
type Multiparts struct{ store *store }

// Note remembers a multipart upload by the key of the blob that it will be, or that it
// goes on. The id is the one that object storage gave, empty before it has answered.
func (ms *Multiparts) Note(ctx context.Context, key, id string) error {
	_, err := ms.store.change(ctx, `
		INSERT INTO multiparts (storage_key, upload_id, noted_at) VALUES ($1, $2, $3)
		ON CONFLICT (storage_key) DO UPDATE SET upload_id = excluded.upload_id, noted_at = excluded.noted_at`,
		key, id, stamp{ms.store.now()})
	if err != nil {
		return failed(err, "noting the multipart upload of %s", key)
	}
	return nil
}

// Forget removes what was noted of a key. One that is not there is no error.
func (ms *Multiparts) Forget(ctx context.Context, key string) error {
	if _, err := ms.store.change(ctx, "DELETE FROM multiparts WHERE storage_key = $1", key); err != nil {
		return failed(err, "forgetting the multipart upload of %s", key)
	}
	return nil
}

// OlderThan tells the ids, by key, of at most limit multipart uploads that were last
// noted before a time and whose keys follow after.
func (ms *Multiparts) OlderThan(ctx context.Context, before time.Time, after string, limit int) (map[string]string, error) {
	all, err := list(ctx, ms.store, scanMultipart, `
		SELECT storage_key, upload_id FROM multiparts
		WHERE noted_at < $1 AND storage_key > $2 ORDER BY storage_key LIMIT $3`, stamp{before}, after, limit)
	if err != nil {
		return nil, failed(err, "listing old multipart uploads")
	}
	ids := make(map[string]string, len(all))
	for _, m := range all {
		ids[m.key] = m.id
	}
	return ids, nil
}

type multipart struct{ key, id string }

func scanMultipart(r row) (multipart, error) {
	var m multipart
	err := r.Scan(&m.key, &m.id)
	return m, err
}

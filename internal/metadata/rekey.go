package metadata

import (
	"context"
	"database/sql"
	"fmt"
)

// Rekey says for every blob where its bytes are now, all or nothing, after they were
// copied to another storage. What is under way in the old one is forgotten. No other
// process may have the database open.
func (bs *Blobs) Rekey(ctx context.Context, keys func(Blob) (string, error)) error {
	err := bs.store.update(ctx, func(tx *sql.Tx) error {
		for _, table := range underWay() {
			if _, err := change(ctx, tx, "DELETE FROM "+table); err != nil {
				return fmt.Errorf("emptying %s: %w", table, err)
			}
		}
		for after := ""; ; {
			page, err := blobsAfter(ctx, tx, after)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, b := range page {
				key, err := keys(b)
				if err != nil {
					return err
				}
				if _, err := change(ctx, tx, "UPDATE blobs SET storage_key = $2 WHERE digest = $1", b.Digest, key); err != nil {
					return err
				}
			}
			after = string(page[len(page)-1].Digest)
		}
	})
	if err != nil {
		return failed(err, "changing the keys of all blobs")
	}
	return nil
}

func blobsAfter(ctx context.Context, tx *sql.Tx, after string) (page []Blob, err error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT digest, storage_key, size FROM blobs WHERE digest > $1 ORDER BY digest LIMIT 1000`, after)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		b, err := scanBlob(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, b)
	}
	return page, rows.Err()
}

package metadatatest

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func multiparts(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a multipart upload is noted before it has an id, then with it": func(t *testing.T, db *metadata.DB) {
			for _, id := range []string{"", "id", "id"} {
				ok(t, db.Multiparts.Note(t.Context(), "KEY", id))
				same(t, map[string]string{"KEY": id}, must[map[string]string](t)(
					db.Multiparts.OlderThan(t.Context(), time.Now().Add(time.Second), "", many)))
			}
		},
		"one that is forgotten is gone": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Multiparts.Note(t.Context(), "KEY", "id"))
			for range 2 {
				ok(t, db.Multiparts.Forget(t.Context(), "KEY"))
			}
			same(t, map[string]string{}, must[map[string]string](t)(
				db.Multiparts.OlderThan(t.Context(), time.Now().Add(time.Second), "", many)))
		},
		"old ones are told in pages, by key": func(t *testing.T, db *metadata.DB) {
			before := time.Now().Truncate(time.Microsecond)
			for _, key := range []string{"c", "A", "b"} {
				ok(t, db.Multiparts.Note(t.Context(), key, "id of "+key))
			}
			page := func(before time.Time, after string, limit int) map[string]string {
				return must[map[string]string](t)(db.Multiparts.OlderThan(t.Context(), before, after, limit))
			}
			now := time.Now().Add(time.Second)
			same(t, map[string]string{}, page(before, "", many))
			same(t, map[string]string{"A": "id of A", "b": "id of b"}, page(now, "", 2))
			same(t, map[string]string{"c": "id of c"}, page(now, "b", 2))
			same(t, map[string]string{}, page(now, "c", 2))
		},
	})
}

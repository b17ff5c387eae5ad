package metadatatest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
)

func registryID(t *testing.T, open func(t *testing.T) *metadata.DB) {
	id := func(t *testing.T, db *metadata.DB) string {
		t.Helper()
		id := must[string](t)(db.ID(t.Context()))
		if !regexp.MustCompile(`^[A-Z2-7]{26}$`).MatchString(id) {
			t.Errorf("the id is %q", id)
		}
		return id
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a database has one of its own, whatever dump it is filled from": func(t *testing.T, db *metadata.DB) {
			Fill(t, db)
			text, _ := dumped(t, db)
			t.Run("another", func(t *testing.T) {
				other := open(t)
				before := id(t, other)
				_ = must[metadata.DumpSummary](t)(other.Load(t.Context(), strings.NewReader(text), nil))
				same(t, before, id(t, other))
				if before == id(t, db) {
					t.Errorf("both have the id %s", before)
				}
			})
		},
		"it stays for the life of the database": func(t *testing.T, db *metadata.DB) {
			before := id(t, db)
			Fill(t, db)
			ok(t, db.Blobs.Rekey(t.Context(), func(b metadata.Blob) (string, error) { return b.Key, nil }))
			ok(t, db.Close())
			same(t, before, id(t, open(t)))
		},
	})
}

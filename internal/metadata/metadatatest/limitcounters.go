package metadatatest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

func limitCounters(t *testing.T, open func(t *testing.T) *metadata.DB) {
	counter := func(subject, holder, content string) metadata.LimitCounter {
		return metadata.LimitCounter{Subject: subject, Holder: holder, Content: []byte(content), ExpiresAt: noon}
	}
	found := func(t *testing.T, db *metadata.DB, q metadata.LimitCounterQuery) []metadata.LimitCounter {
		t.Helper()
		if q.Limit == 0 {
			q.Limit = many
		}
		all := must[[]metadata.LimitCounter](t)(db.LimitCounters.List(t.Context(), q))
		for i, c := range all {
			recent(t, c.ChangedAt)
			all[i].ChangedAt = time.Time{}
		}
		return all
	}
	ann1, bob1, ann2 := counter("account alice", "ann", "\x00\xff"), counter("account alice", "bob", "2"), counter("address 192.0.2.1", "ann", "3")
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"each holder has a counter of each subject": func(t *testing.T, db *metadata.DB) {
			ok(t, db.LimitCounters.Put(t.Context(), nil))
			ok(t, db.LimitCounters.Put(t.Context(), []metadata.LimitCounter{ann2, bob1, ann1}))
			same(t, []metadata.LimitCounter{ann1, bob1, ann2}, found(t, db, metadata.LimitCounterQuery{}))
			same(t, []metadata.LimitCounter{bob1}, found(t, db, metadata.LimitCounterQuery{NotOf: "ann"}))
		},
		"a counter is written over": func(t *testing.T, db *metadata.DB) {
			ok(t, db.LimitCounters.Put(t.Context(), []metadata.LimitCounter{ann1, ann2}))
			changed := ann1
			changed.Content, changed.ExpiresAt = []byte("other"), noon.Add(time.Hour)
			ok(t, db.LimitCounters.Put(t.Context(), []metadata.LimitCounter{changed}))
			same(t, []metadata.LimitCounter{changed, ann2}, found(t, db, metadata.LimitCounterQuery{}))
		},
		"they are told in pages": func(t *testing.T, db *metadata.DB) {
			all := []metadata.LimitCounter{ann1, bob1, ann2}
			ok(t, db.LimitCounters.Put(t.Context(), all))
			var last metadata.LimitCounter
			for _, want := range all {
				page := found(t, db, metadata.LimitCounterQuery{AfterSubject: last.Subject, AfterHolder: last.Holder, Limit: 1})
				same(t, []metadata.LimitCounter{want}, page)
				last = want
			}
			same(t, nil, found(t, db, metadata.LimitCounterQuery{AfterSubject: last.Subject, AfterHolder: last.Holder}))
		},
		"what was written since is found": func(t *testing.T, db *metadata.DB) {
			ok(t, db.LimitCounters.Put(t.Context(), []metadata.LimitCounter{ann1}))
			first := must[[]metadata.LimitCounter](t)(db.LimitCounters.List(t.Context(), metadata.LimitCounterQuery{Limit: many}))[0].ChangedAt
			for { // the database's clock may stand still for a moment
				ok(t, db.LimitCounters.Put(t.Context(), []metadata.LimitCounter{ann2}))
				if len(found(t, db, metadata.LimitCounterQuery{Changed: first.Add(time.Microsecond)})) > 0 {
					break
				}
			}
			same(t, []metadata.LimitCounter{ann2}, found(t, db, metadata.LimitCounterQuery{Changed: first.Add(time.Microsecond)}))
			if diff := cmp.Diff([]metadata.LimitCounter{ann1, ann2}, found(t, db, metadata.LimitCounterQuery{Changed: first})); diff != "" {
				t.Errorf("since the first was written (-want +got):\n%s", diff)
			}
		},
		"expired counters are forgotten": func(t *testing.T, db *metadata.DB) {
			later := bob1
			later.ExpiresAt = noon.Add(time.Microsecond)
			ok(t, db.LimitCounters.Put(t.Context(), []metadata.LimitCounter{ann1, later}))
			ok(t, db.LimitCounters.DeleteExpired(t.Context(), noon))
			same(t, []metadata.LimitCounter{later}, found(t, db, metadata.LimitCounterQuery{}))
		},
	})
}

package metadata_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// aged is a database whose repository demo/app links a blob of a year ago.
type aged struct {
	*metadata.DB
	t    *testing.T
	blob metadata.Blob
}

var (
	lastYear = time.Date(2025, 11, 2, 0, 0, 0, 0, time.UTC)
	// anHourAhead is later than all that a test does.
	anHourAhead = time.Now().Add(time.Hour)
)

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, run func(a *aged)) {
	t.Helper()
	for name, open := range map[string]func(t *testing.T) (*metadata.DB, error){
		"SQLite": func(t *testing.T) (*metadata.DB, error) {
			return metadata.Open(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
		},
		"PostgreSQL": func(t *testing.T) (*metadata.DB, error) {
			return metadata.OpenPostgres(t.Context(), postgreSQL(t).Database(t), t.TempDir())
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			a := &aged{DB: db, t: t, blob: metadata.Blob{Digest: digest.FromString("a layer"), Key: "key", Size: 7}}
			a.ok(db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}))
			a.ok(db.Blobs.Put(t.Context(), a.blob, "demo/app"))
			a.set("UPDATE blob_links SET used_at = $1", lastYear.UnixMicro())
			run(a)
		})
	}
}

func (a *aged) ok(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *aged) set(statement string, args ...any) {
	a.t.Helper()
	a.ok(a.Update(a.t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(a.t.Context(), statement, args...)
		return err
	}))
}

func (a *aged) wantUsed(check func(time.Time) bool) {
	a.t.Helper()
	links, err := a.Blobs.Links(a.t.Context(), "demo/app", "", 10)
	a.ok(err)
	if len(links) != 1 || !check(links[0].UsedAt) {
		a.t.Errorf("the links are %+v", links)
	}
}

func lately(at time.Time) bool { return time.Since(at) < metadata.UseResolution/2 }

func (a *aged) wantUnlinked(want ...digest.Digest) {
	a.t.Helper()
	got, err := a.Blobs.UnlinkUnused(a.t.Context(), "demo/app", []digest.Digest{a.blob.Digest}, time.Now().Add(-24*time.Hour))
	a.ok(err)
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("unlinked (-want +got):\n%s", diff)
	}
}

func TestABlobThatIsUsedStaysLinked(t *testing.T) {
	manifest := func(text string) metadata.PutManifest {
		return metadata.PutManifest{Repository: "demo/app", Manifest: metadata.Manifest{Manifest: oci.Manifest{
			MediaType: "application/x", Digest: digest.FromString(text), Content: []byte(text),
		}}}
	}
	for name, use := range map[string]func(a *aged) error{
		"by a client that asks for it": func(a *aged) error { return a.Blobs.Use(t.Context(), "demo/app", a.blob.Digest) },
		"by a mount":                   func(a *aged) error { return a.Blobs.Link(t.Context(), "demo/app", a.blob.Digest) },
		"by a manifest that names it, of whatever type": func(a *aged) error {
			return a.Manifests.Put(t.Context(), manifest(`{"parts":["`+a.blob.Digest.String()+`"]}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(a *aged) {
				a.ok(a.Manifests.Put(t.Context(), manifest(`{"parts":["`+digest.FromString("another").String()+`"]}`)))
				a.wantUsed(lastYear.Equal)
				a.ok(use(a))
				a.wantUsed(lately)
				a.wantUnlinked()
			})
		})
	}
}

func TestABlobThatNobodyUsesIsUnlinked(t *testing.T) {
	onBoth(t, func(a *aged) { a.wantUnlinked(a.blob.Digest) })
}

func TestABlobThatWasUsedWithinTheHourCostsNoWrite(t *testing.T) {
	onBoth(t, func(a *aged) {
		at := time.Now().Add(-metadata.UseResolution / 2).Truncate(time.Microsecond)
		a.set("UPDATE blob_links SET used_at = $1", at.UnixMicro())
		a.ok(a.Blobs.Use(t.Context(), "demo/app", a.blob.Digest))
		a.wantUsed(at.Equal)
	})
}

func TestWhatAnOlderLarderWroteIsDatedFirst(t *testing.T) {
	onBoth(t, func(a *aged) {
		ctx := t.Context()
		a.set("UPDATE blob_links SET used_at = NULL")
		a.set("UPDATE blobs SET stored_at = NULL")
		a.wantUnlinked()
		a.wantUsed(time.Time.IsZero)
		a.ok(a.Blobs.DateUse(ctx, "demo/app", []digest.Digest{a.blob.Digest}, lastYear))
		a.ok(a.Blobs.DateUse(ctx, "demo/app", []digest.Digest{a.blob.Digest}, anHourAhead))
		a.wantUsed(lastYear.Equal)
		a.wantUnlinked(a.blob.Digest)

		forgotten, err := a.Blobs.ForgetUnlinked(ctx, a.blob, anHourAhead)
		a.ok(err)
		if forgotten {
			t.Error("a blob of unknown age was forgotten")
		}
		a.ok(a.Blobs.DateStored(ctx, a.blob.Digest, lastYear))
		a.ok(a.Blobs.DateStored(ctx, a.blob.Digest, anHourAhead))
		uses, err := a.Blobs.Unlinked(ctx, "", 10)
		a.ok(err)
		if diff := cmp.Diff([]metadata.BlobUse{{Blob: a.blob, StoredAt: lastYear}}, uses); diff != "" {
			t.Errorf("blobs that nothing links (-want +got):\n%s", diff)
		}
	})
}

func TestNeitherDamagedBytesNorTransfersAreOrphans(t *testing.T) {
	onBoth(t, func(a *aged) {
		a.set("INSERT INTO damaged_blobs (digest, storage_key, size, reason, found_at) VALUES ($1, 'damaged', 1, '', 1)", a.blob.Digest)
		a.ok(a.Multiparts.Note(t.Context(), "coming", "id"))
		got, err := a.Orphans.Among(t.Context(), []string{"damaged", "coming", "key", "lost"})
		a.ok(err)
		if diff := cmp.Diff([]metadata.Orphan{{Key: "lost"}}, got); diff != "" {
			t.Errorf("orphans (-want +got):\n%s", diff)
		}
	})
}

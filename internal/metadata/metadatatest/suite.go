// Package metadatatest is the suite that every database behind package metadata
// must pass.
package metadatatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// many is more than any list of the suite holds.
const many = 10_000

// Run runs the suite. Open opens the database that belongs to t: empty the first
// time, and the same one again after it was closed. What it opened is closed when t
// ends.
func Run(t *testing.T, open func(t *testing.T) *metadata.DB) {
	for _, group := range []struct {
		name string
		run  func(t *testing.T, open func(t *testing.T) *metadata.DB)
	}{
		{"projects", projects},
		{"repositories", repositories},
		{"removals", removals},
		{"quotas", quotas},
		{"manifests", manifests},
		{"links of manifests", manifestLinks},
		{"referrers", referrers},
		{"pulls", pulls},
		{"retention", retentions},
		{"retiring", retiring},
		{"what is known of manifests", manifestTimes},
		{"tags", tags},
		{"history of tags", tagHistory},
		{"blobs", blobs},
		{"links of blobs", blobLinks},
		{"what a push needs", needs},
		{"what is used", uses},
		{"what nothing links", unlinked},
		{"what no row leads to", orphans},
		{"verified blobs", verifiedBlobs},
		{"damaged blobs", damagedBlobs},
		{"evictions", evictions},
		{"uploads", uploads},
		{"multipart uploads", multiparts},
		{"users", users},
		{"accounts", accounts},
		{"groups", groups},
		{"roles", roles},
		{"role bindings", roleBindings},
		{"imports", imports},
		{"stars", stars},
		{"audit", audit},
		{"the ledger", ledger},
		{"sums of the ledger", ledgerSums},
		{"limits in the ledger", ledgerRates},
		{"warnings of the ledger", ledgerWarnings},
		{"failures", failures},
		{"pins", pins},
		{"webhooks", webhooks},
		{"what webhooks hear of", events},
		{"deliveries", deliveries},
		{"the registry's id", registryID},
		{"tokens", tokens},
		{"signing keys", keys},
		{"credentials for upstreams", credentials},
		{"audiences of repositories", audiences},
		{"leases", leases},
		{"counters of limits", limitCounters},
		{"dumps", dumps},
		{"many at once", concurrency},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, open) })
	}
}

// each runs cases, every one on a database of its own that has the hosted project
// "demo" and the cache project "hub".
func each(t *testing.T, open func(t *testing.T) *metadata.DB, cases map[string]func(t *testing.T, db *metadata.DB)) {
	t.Helper()
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(t, withProjects(t, open)) })
	}
}

func withProjects(t *testing.T, open func(t *testing.T) *metadata.DB) *metadata.DB {
	t.Helper()
	db := open(t)
	ctx := t.Context()
	ok(t, db.Projects.Create(ctx, metadata.Project{Name: "demo", Kind: metadata.Hosted, CreatedAt: noon}))
	ok(t, db.Projects.Create(ctx, metadata.Project{Name: "hub", Kind: metadata.Cache, CreatedAt: noon}))
	return db
}

// noon has a microsecond, the finest that is kept.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func notFound(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, metadata.ErrNotFound) {
		t.Fatalf("got the error %v, want %v", err, metadata.ErrNotFound)
	}
}

func alreadyThere(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, metadata.ErrExists) {
		t.Fatalf("got the error %v, want %v", err, metadata.ErrExists)
	}
}

func same[T any](t *testing.T, want, got T) {
	t.Helper()
	// Byte by byte, cmp takes seconds for a manifest of 4 MiB.
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
		t.Fatalf("unexpected answer (-want +got):\n%s", diff)
	}
}

// must is the answer of a call that may not fail.
func must[T any](t *testing.T) func(T, error) T {
	return func(got T, err error) T {
		t.Helper()
		ok(t, err)
		return got
	}
}

// second is the error of a call whose answer does not matter.
func second[T any](_ T, err error) error { return err }

func manifest(text string) metadata.Manifest {
	content := fmt.Appendf(nil, `{"schemaVersion":2,"text":%q}`, text)
	return metadata.Manifest{Manifest: oci.Manifest{
		MediaType: v1.MediaTypeImageManifest,
		Digest:    digest.FromBytes(content),
		Content:   content,
	}}
}

func blob(text string) metadata.Blob {
	d := digest.FromString(text)
	return metadata.Blob{Digest: d, Key: "key-of-" + d.Encoded(), Size: int64(len(text))}
}

func put(ctx context.Context, db *metadata.DB, repository string, m metadata.Manifest, tags ...string) error {
	return db.Manifests.Put(ctx, metadata.PutManifest{Repository: repository, Manifest: m, Tags: tags, Actor: "alice"})
}

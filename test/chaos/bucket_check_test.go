package chaos_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob/s3"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/testkit/s3test"
)

// evictionPatience is for a turn of eviction that another replica had, and the one after it.
const evictionPatience = 3 * time.Minute

// holdToSize starts the replicas once everything is old, after which the cache is as
// large as it may be.
func (s *shared) holdToSize() {
	s.t.Helper()
	s.a.stop() // they write down what was pulled lately
	s.b.stop()
	s.age()
	s.a.start()
	s.b.start()
	within(s.t, evictionPatience, "the cache is no larger than it may be", func() bool {
		var size int64
		err := s.db.QueryRow(s.t.Context(), `SELECT COALESCE(SUM(size), 0)::BIGINT FROM blobs WHERE digest IN (
			SELECT digest FROM blob_links l JOIN repositories r ON r.id = l.repository_id GROUP BY digest HAVING BOOL_AND(r.project = 'docker-hub'))`).Scan(&size)
		if err != nil {
			s.t.Fatal(err)
		}
		return size <= keptSize
	})
	s.evicted += s.evictedBy(s.a) + s.evictedBy(s.b)
}

// wantOnlyWhatIsNamed collects until nothing is left to collect, and compares the bucket's
// bytes with what the database names.
func (s *shared) wantOnlyWhatIsNamed() {
	s.t.Helper()
	for range 2 { // bytes that no row leads to go when they were seen twice
		s.age()
		if ran, err := s.collectors[0].collect(s.t.Context()); err != nil || !ran {
			s.t.Fatalf("a collection: %t, %v", ran, err)
		}
	}
	s.sweep()
	want := map[string]digest.Digest{}
	rows, err := s.db.Query(s.t.Context(), "SELECT storage_key, digest FROM blobs")
	if err != nil {
		s.t.Fatal(err)
	}
	var key, named string
	if _, err := pgx.ForEachRow(rows, []any{&key, &named}, func() error {
		want["images/blobs/"+key] = digest.Digest(named)
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(want, s.kept("images/blobs/")); diff != "" || len(want) == 0 {
		s.t.Errorf("the blobs in the bucket (-want +got):\n%s", diff)
	}
	tails, leads := s.kept("images/uploads/"), s.tails()
	maps.DeleteFunc(tails, func(key string, _ digest.Digest) bool { return leads[key] })
	if len(tails) > 0 {
		s.t.Errorf("tails of no upload are in the bucket: %v", tails)
	}
}

// sweep removes the leftovers of those that were killed, as if a day had passed.
func (s *shared) sweep() {
	s.t.Helper()
	db, err := metadata.OpenPostgres(s.t.Context(), s.database, s.t.TempDir())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	blobs, err := s3.Open(s.t.Context(), s3.Config{
		Endpoint: s.bucket.Endpoint, Bucket: s3test.Bucket, Prefix: "images", Region: s3test.Region, PathStyle: true,
		AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, SpoolDir: s.t.TempDir(), Records: db.Multiparts,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	held := registry.New(registry.Config{DB: db, Blobs: blobs, Log: slog.New(slog.DiscardHandler)})
	defer held.Close()
	if _, err := held.SweepStrays(s.t.Context(), -time.Hour); err != nil {
		s.t.Error(err)
	}
}

// kept reads what is in a folder of the bucket.
func (s *shared) kept(folder string) map[string]digest.Digest {
	s.t.Helper()
	found := map[string]digest.Digest{}
	for entry := range s.bucket.Client.ListObjects(s.t.Context(), s3test.Bucket, minio.ListObjectsOptions{Prefix: folder, Recursive: true}) {
		if entry.Err != nil {
			s.t.Fatal(entry.Err)
		}
		object, err := s.bucket.Client.GetObject(s.t.Context(), s3test.Bucket, entry.Key, minio.GetObjectOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		if found[entry.Key], err = digest.FromReader(object); err != nil {
			s.t.Fatal(err)
		}
		_ = object.Close()
	}
	return found
}

// tails are the objects that unfinished uploads lead to. Those of one whose server was
// killed when it had made a blob of it are gone.
func (s *shared) tails() (named map[string]bool) {
	s.t.Helper()
	rows, err := s.db.Query(s.t.Context(), "SELECT state FROM uploads")
	if err != nil {
		s.t.Fatal(err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		s.t.Fatal(err)
	}
	named = map[string]bool{}
	for _, text := range states {
		var row struct{ Blob []byte }
		var saved struct {
			Tail  string
			Stale []string
		}
		if err := json.Unmarshal(text, &row); err != nil {
			s.t.Fatal(err)
		}
		if len(row.Blob) == 0 {
			continue // nothing has come yet
		}
		if err := json.Unmarshal(row.Blob, &saved); err != nil {
			s.t.Fatal(err)
		}
		for _, name := range append(saved.Stale, saved.Tail) {
			named["images/uploads/"+name] = true
		}
	}
	return named
}

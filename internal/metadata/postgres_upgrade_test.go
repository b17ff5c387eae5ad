package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

func TestABackupIsMadeBeforeAnOlderPostgreSQLIsMigrated(t *testing.T) {
	databaseURL, folder := postgreSQL(t).Database(t), t.TempDir()
	db := openPostgres(t, databaseURL)
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	want := dumped(t, db)
	newer, err := metadata.OpenPostgresIn(t, databaseURL, folder, metadata.NextMigration(t, "DELETE FROM projects;\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = newer.Close() }()
	backup := filepath.Join(folder, metadata.PostgresBackup+strconv.FormatInt(metadata.Newest(t)+1, 10))
	got, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the backup (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v", info.Mode(), err)
	}
}

func TestANewPostgreSQLNeedsNoBackup(t *testing.T) {
	databaseURL, folder := postgreSQL(t).Database(t), t.TempDir()
	for range 2 { // and neither does one that is up to date
		db, err := metadata.OpenPostgresIn(t, databaseURL, folder, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
}

func TestAnUpgradeOfPostgreSQLThatCannotBeBackedUpIsNotDone(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	openPostgres(t, databaseURL)
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	_, err := metadata.OpenPostgresIn(t, databaseURL, nowhere, secondMigration(t))
	for _, text := range []string{nowhere + "/metadata.dump.before-" + strconv.FormatInt(metadata.Newest(t)+1, 10), "nothing was changed", "space"} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	openPostgres(t, databaseURL) // it is as it was
}

// A replica of the first version goes on while another brings the schema to the
// newest.
func TestTheFirstVersionGoesOnWhileTheSchemaIsUpgraded(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	metadata.FirstPostgres(t, databaseURL)
	old := startFirstVersion(t, databaseURL)
	old.waitForRounds(t, 10)
	newest := openPostgres(t, databaseURL)
	old.waitForRounds(t, 10)
	rounds := old.stop(t)
	for i := range rounds {
		want := metadata.Blob{Digest: digest.FromString(fmt.Sprint(i)), Key: fmt.Sprint("key ", i), Size: i}
		got, err := newest.Blobs.Get(t.Context(), "demo/app", want.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what the first version wrote (-want +got):\n%s", diff)
		}
	}
	if _, _, err := newest.Manifests.GetByTag(t.Context(), "demo/app", "latest"); err != nil {
		t.Error(err)
	}
}

// firstVersion runs the statements of the first version of the schema, round after
// round.
type firstVersion struct {
	rounds atomic.Int64
	ended  chan struct{}
	end    context.CancelFunc
	err    error // read it once ended is closed
}

func startFirstVersion(t *testing.T, databaseURL string) *firstVersion {
	t.Helper()
	conn := connected(t, databaseURL)
	conn.exec(t, `
		INSERT INTO projects (name, kind, description, creator) VALUES ('demo', 'hosted', '', '');
		INSERT INTO repositories (name, project, created_at) VALUES ('demo/app', 'demo', 1)`)
	ctx, end := context.WithCancel(t.Context())
	f := &firstVersion{ended: make(chan struct{}), end: sync.OnceFunc(end)}
	go func() {
		defer close(f.ended)
		for ctx.Err() == nil && f.err == nil {
			if f.err = pushOfFirstVersion(t.Context(), conn.Conn, f.rounds.Load()); f.err == nil {
				f.rounds.Add(1)
			}
		}
	}()
	t.Cleanup(func() {
		f.end()
		<-f.ended
	})
	return f
}

func (f *firstVersion) waitForRounds(t *testing.T, more int64) {
	t.Helper()
	enough := f.rounds.Load() + more
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for f.rounds.Load() < enough {
		select {
		case <-tick.C:
		case <-f.ended:
			t.Fatalf("after %d rounds: %v", f.rounds.Load(), f.err)
		case <-timeout:
			t.Fatalf("only %d rounds in a minute", f.rounds.Load())
		}
	}
}

func (f *firstVersion) stop(t *testing.T) (rounds int64) {
	t.Helper()
	f.end()
	<-f.ended
	if f.err != nil {
		t.Fatal(f.err)
	}
	return f.rounds.Load()
}

// pushOfFirstVersion writes one image and reads it back, tried again as the first
// version did where transactions collide.
func pushOfFirstVersion(ctx context.Context, conn *pgx.Conn, round int64) error {
	for {
		err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
			return statementsOfFirstVersion(ctx, tx, round)
		})
		if failure, ok := errors.AsType[*pgconn.PgError](err); !ok || failure.Code != "40001" {
			return err
		}
	}
}

func statementsOfFirstVersion(ctx context.Context, tx pgx.Tx, round int64) error {
	blob := digest.FromString(fmt.Sprint(round)).String()
	manifest := digest.FromString(fmt.Sprint("manifest ", round)).String()
	for _, s := range []struct {
		query string
		args  []any
	}{
		{`INSERT INTO blobs (digest, storage_key, size) VALUES ($1, $2, $3)
			ON CONFLICT (digest) DO UPDATE SET storage_key = excluded.storage_key, size = excluded.size`,
			[]any{blob, fmt.Sprint("key ", round), round}},
		{`INSERT INTO blob_links (repository_id, digest) VALUES (1, $1) ON CONFLICT (repository_id, digest) DO NOTHING`, []any{blob}},
		{`INSERT INTO manifests (digest, content) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, []any{manifest, []byte("{}")}},
		{`INSERT INTO manifest_links (repository_id, digest, media_type, subject, artifact_type) VALUES (1, $1, 'text', '', '')
			ON CONFLICT (repository_id, digest) DO UPDATE SET media_type = excluded.media_type`, []any{manifest}},
		{`INSERT INTO tags (repository_id, name, digest, updated_at) VALUES (1, 'latest', $1, 1)
			ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at`, []any{manifest}},
	} {
		if _, err := tx.Exec(ctx, s.query, s.args...); err != nil {
			return err
		}
	}
	var size int64
	return tx.QueryRow(ctx, `
		SELECT b.size FROM repositories r JOIN blob_links l ON l.repository_id = r.id JOIN blobs b ON b.digest = l.digest
		WHERE r.name = 'demo/app' AND l.digest = $1`, blob).Scan(&size)
}

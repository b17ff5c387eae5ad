package metadata_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/larder-registry/larder/internal/metadata"
)

const endOwnConnection = "SELECT pg_terminate_backend(pg_backend_pid())"

func insertProject(ctx context.Context, tx *sql.Tx, name string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO projects (name, kind, description, creator) VALUES ($1, 'hosted', '', '')", name)
	return err
}

func TestAConnectionLostBeforeTheCommitIsMadeGood(t *testing.T) {
	db := openPostgres(t, postgreSQL(t).Database(t))
	tries := 0
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		tries++
		if err := insertProject(t.Context(), tx, "demo"); err != nil {
			return err
		}
		if tries == 1 {
			_, err := tx.ExecContext(t.Context(), endOwnConnection)
			return err
		}
		return nil
	})
	if err != nil || tries != 2 {
		t.Fatalf("after %d tries: %v", tries, err)
	}
	if _, err := db.Projects.Get(t.Context(), "demo"); err != nil {
		t.Error(err)
	}
}

func TestACommitThatWasNotAnsweredIsNotRepeated(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	db, admin := openPostgres(t, databaseURL), connected(t, databaseURL)
	// What a sequence has counted stays counted when the transaction is undone.
	admin.exec(t, `
		CREATE SEQUENCE commits;
		CREATE FUNCTION end_connection() RETURNS trigger LANGUAGE plpgsql AS
			$$BEGIN PERFORM nextval('commits'), pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$;
		CREATE CONSTRAINT TRIGGER end_connection AFTER INSERT ON projects
			DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION end_connection()`)
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err == nil {
		t.Error("a commit that was cut off was acknowledged")
	}
	if diff := cmp.Diff([]int64{1}, column[int64](t, admin, "SELECT last_value FROM commits")); diff != "" {
		t.Errorf("commits (-want +got):\n%s", diff)
	}
	admin.exec(t, "DROP TRIGGER end_connection ON projects")
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTransactionsThatCollideBothHappen(t *testing.T) {
	for name, step := range map[string]func(ctx context.Context, tx *sql.Tx, me, other string, met func()) error{
		"each waits for what the other holds": func(ctx context.Context, tx *sql.Tx, me, other string, met func()) error {
			const touch = "UPDATE projects SET description = description || 'x' WHERE name = $1"
			_, first := tx.ExecContext(ctx, touch, me)
			met()
			_, second := tx.ExecContext(ctx, touch, other)
			return errors.Join(first, second)
		},
		"each writes what the other has read": func(ctx context.Context, tx *sql.Tx, me, _ string, met func()) error {
			var projects int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM projects").Scan(&projects); err != nil {
				return err
			}
			met()
			return insertProject(ctx, tx, fmt.Sprintf("%s-%d", me, projects))
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openPostgres(t, postgreSQL(t).Database(t))
			both := []string{"one", "two"}
			for _, p := range both {
				if err := db.Projects.Create(t.Context(), metadata.Project{Name: p, Kind: metadata.Hosted}); err != nil {
					t.Fatal(err)
				}
			}
			if tries := collide(t, db, both, step); tries < 3 {
				t.Errorf("there was no collision in %d tries", tries)
			}
		})
	}
}

// collide runs step in two transactions at once, which meet halfway the first time,
// and tells how many tries they took.
func collide(t *testing.T, db *metadata.DB, names []string, step func(ctx context.Context, tx *sql.Tx, me, other string, met func()) error) int {
	t.Helper()
	var meeting, done sync.WaitGroup
	meeting.Add(len(names))
	tries, errs := make([]int, len(names)), make([]error, len(names))
	for i, me := range names {
		done.Go(func() {
			errs[i] = db.Update(t.Context(), func(tx *sql.Tx) error {
				tries[i]++
				return step(t.Context(), tx, me, names[1-i], func() {
					if tries[i] == 1 {
						meeting.Done()
						meeting.Wait()
					}
				})
			})
		})
	}
	done.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return tries[0] + tries[1]
}

func TestAManifestThatIsLinkedWhileItsLastLinkIsDeletedStays(t *testing.T) {
	db := openPostgres(t, postgreSQL(t).Database(t))
	if err := db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	m := manifest("contested")
	push := func(repository string) error {
		return db.Manifests.Put(t.Context(), metadata.PutManifest{Repository: repository, Manifest: m})
	}
	if err := push("demo/app"); err != nil {
		t.Fatal(err)
	}
	tries := 0
	err := db.Update(t.Context(), func(tx *sql.Tx) error {
		tries++
		// The transaction sees the database as it is at its first statement.
		_, err := tx.ExecContext(t.Context(), `
			DELETE FROM manifest_links WHERE repository_id = (SELECT id FROM repositories WHERE name = 'demo/app')`)
		if err == nil && tries == 1 {
			err = push("demo/other")
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(t.Context(), `
			DELETE FROM manifests WHERE NOT EXISTS (SELECT 1 FROM manifest_links l WHERE l.digest = manifests.digest)`)
		return err
	})
	if err != nil || tries < 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	if _, err := db.Manifests.Get(t.Context(), "demo/other", m.Digest); err != nil {
		t.Error(err)
	}
}

func TestOneThatAlwaysCollidesEndsWithItsContext(t *testing.T) {
	db := openPostgres(t, postgreSQL(t).Database(t))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := db.Update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DO $$BEGIN RAISE EXCEPTION 'collided' USING ERRCODE = 'serialization_failure'; END$$")
		return err
	})
	if ctx.Err() == nil {
		t.Fatalf("it ended before its context: %v", err)
	}
	// The context may end while it pauses or while it collides.
	collision, collided := errors.AsType[*pgconn.PgError](err)
	if !errors.Is(err, context.DeadlineExceeded) && (!collided || collision.Code != "40001") {
		t.Errorf("got the error %v", err)
	}
}

func TestSessionsOfPostgreSQL(t *testing.T) {
	tests := []struct {
		name, set string
		want      []string // synchronous_commit of the writer
	}{
		{"a commit waits for the disk", "off", []string{"on"}},
		{"what replicas have to do stays as it was set", "remote_apply", []string{"remote_apply"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			databaseURL := postgreSQL(t).Database(t)
			admin := connected(t, databaseURL)
			name := column[string](t, admin, "SELECT current_database()")[0]
			admin.exec(t, "ALTER DATABASE "+name+" SET synchronous_commit = "+tt.set)
			writer, _ := openPostgres(t, databaseURL).Pools()
			var got string
			if err := writer.QueryRowContext(t.Context(), "SHOW synchronous_commit").Scan(&got); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(tt.want, got) {
				t.Errorf("synchronous_commit is %s, want %s", got, tt.want)
			}
		})
	}
	t.Run("readers cannot write", func(t *testing.T) {
		_, readers := openPostgres(t, postgreSQL(t).Database(t)).Pools()
		if _, err := readers.ExecContext(t.Context(), "DELETE FROM projects"); err == nil {
			t.Error("a reader could delete")
		}
	})
}

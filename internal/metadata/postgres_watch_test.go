package metadata_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// hearsWithin bounds the waits of these tests, on a machine that is busy.
	hearsWithin = 30 * time.Second
	listening   = "SELECT pid FROM pg_stat_activity WHERE application_name = 'larder (changes)' AND datname = current_database()"
)

// watched opens a database, watches it until the test ends, and waits until it hears.
func watched(t *testing.T, databaseURL string) *metadata.DB {
	t.Helper()
	return watchedWith(t, databaseURL, nil)
}

// watchedWith is watched for who hears hints, too.
func watchedWith(t *testing.T, databaseURL string, hint func(string)) *metadata.DB {
	t.Helper()
	db := openPostgres(t, databaseURL)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		db.Watch(ctx, hint, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { stop(); <-ended })
	eventually(t, "it hears", func() bool { return hears(db) })
	return db
}

// hears tells whether marks hold.
func hears(db *metadata.DB) bool {
	accounts, repository := db.Changes.Accounts(), db.Changes.Repository("demo/app")
	return accounts == db.Changes.Accounts() && repository == db.Changes.Repository("demo/app")
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.After(hearsWithin)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("within %s it does not come true that %s", hearsWithin, what)
		}
	}
}

func TestWhatAnotherProcessChangesIsHeard(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	here, there := watched(t, databaseURL), openPostgres(t, databaseURL)
	repository := func() metadata.Mark { return here.Changes.Repository("demo/app") }
	accounts, access := here.Changes.Accounts, here.Changes.Access
	m := manifest("app")
	if err := there.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name   string
		of     func() metadata.Mark
		change func(ctx context.Context) error
	}{
		{"a manifest is pushed", repository, func(ctx context.Context) error {
			return there.Manifests.Put(ctx, metadata.PutManifest{Repository: "demo/app", Manifest: m})
		}},
		{"a manifest is linked", repository, func(ctx context.Context) error {
			return there.Manifests.Link(ctx, "demo/app", m.Digest)
		}},
		{"a tag is set", repository, func(ctx context.Context) error {
			return there.Tags.Set(ctx, "demo/app", "latest", m.Digest, time.Time{}, "")
		}},
		{"a tag is deleted", repository, func(ctx context.Context) error {
			return there.Tags.Delete(ctx, "demo/app", "latest")
		}},
		{"a manifest is deleted", repository, func(ctx context.Context) error {
			return there.Manifests.Delete(ctx, "demo/app", m.Digest, nil)
		}},
		{"strangers may see a repository", repository, func(ctx context.Context) error {
			return there.Repositories.SetVisibility(ctx, "demo/app", true, time.Now())
		}},
		{"a password is changed", accounts, func(ctx context.Context) error {
			if err := there.Users.Create(ctx, metadata.User{Name: "alice"}); err != nil {
				return err
			}
			return there.Users.SetPassword(ctx, "alice", "another")
		}},
		{"a token is revoked", accounts, func(ctx context.Context) error {
			if err := there.Tokens.Create(ctx, metadata.Token{ID: "1", Hash: []byte("1"), User: "alice"}); err != nil {
				return err
			}
			return there.Tokens.Delete(ctx, "1")
		}},
		{"a signing key is added", accounts, func(ctx context.Context) error {
			return there.Keys.Add(ctx, metadata.SigningKey{ID: "1", Secret: []byte("1"), CreatedAt: time.Now()})
		}},
		{"a role is made", access, func(ctx context.Context) error {
			return there.Roles.Create(ctx, metadata.Role{Project: "demo", Name: "app reader", Rules: "[]", CreatedAt: time.Now()})
		}},
		{"a repository is deleted with its role", access, func(ctx context.Context) error {
			_, err := there.Repositories.Delete(ctx, metadata.Deletion{Repository: "demo/app", Roles: []string{"app reader"}})
			return err
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			before := step.of()
			if err := step.change(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the change is heard", func() bool { return step.of() != before })
		})
	}
}

func TestAProcessDoesNotForgetWhatItHasJustWritten(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	here, there := watched(t, databaseURL), openPostgres(t, databaseURL)
	if err := there.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted}); err != nil {
		t.Fatal(err)
	}
	untouched := here.Changes.Repository("demo/other") // tells when all was forgotten with a lost connection
	repository, accounts := here.Changes.Repository("demo/app"), here.Changes.Accounts()
	if err := here.Keys.Add(t.Context(), metadata.SigningKey{ID: "1", Secret: []byte("1"), CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	// Announcements come in the order of the commits.
	if err := there.Repositories.SetVisibility(t.Context(), "demo/app", true, time.Now()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other's change is heard", func() bool { return here.Changes.Repository("demo/app") != repository })
	if here.Changes.Accounts() != accounts && here.Changes.Repository("demo/other") == untouched {
		t.Error("its own change counts as another's")
	}
}

// hearers are who hears hints, with what they have heard, each once.
type hearers struct {
	mu    sync.Mutex
	heard map[string]bool
}

func (h *hearers) by(who string) func(string) {
	return func(hint string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.heard[who+": "+hint] = true
	}
}

func (h *hearers) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.heard))
}

func TestAHintIsHeardByTheOthersAndNotByWhoTellsIt(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	hints := &hearers{heard: map[string]bool{}}
	here, there := watchedWith(t, databaseURL, hints.by("here")), watchedWith(t, databaseURL, hints.by("there"))
	deaf := watched(t, databaseURL)
	untouched := there.Changes.Repository("demo/other")
	accounts := there.Changes.Accounts()
	long := strings.Repeat("x", metadata.MaxHint)
	tell := func() {
		for _, told := range []struct {
			from *metadata.DB
			hint string
		}{{here, long}, {there, "a hint of two\nlines"}, {deaf, "last"}} {
			if err := told.from.Hints.Tell(t.Context(), told.hint); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"here: a hint of two\nlines", "here: last", "there: last", "there: " + long}
	// On a busy machine a connection may be given up, and what is told meanwhile is lost.
	var told time.Time
	eventually(t, "all hints are heard", func() bool {
		if time.Since(told) > time.Second {
			told = time.Now()
			tell()
		}
		return len(hints.all()) >= len(want)
	})
	if diff := cmp.Diff(want, hints.all()); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
	if there.Changes.Accounts() != accounts && there.Changes.Repository("demo/other") == untouched {
		t.Error("a hint counts as a change")
	}
}

func TestNothingReadBeforeHoldsOnceTheConnectionIsLost(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	db := watched(t, databaseURL)
	admin := connected(t, databaseURL)
	repository, accounts := db.Changes.Repository("demo/app"), db.Changes.Accounts()
	admin.exec(t, "SELECT pg_terminate_backend(pid) FROM ("+listening+") l")
	eventually(t, "the loss is noticed", func() bool {
		return db.Changes.Repository("demo/app") != repository && db.Changes.Accounts() != accounts
	})
	eventually(t, "it hears again", func() bool { return hears(db) })
	if db.Changes.Repository("demo/app") == repository || db.Changes.Accounts() == accounts {
		t.Error("what was read before the loss holds again")
	}
}

func TestNothingHoldsWhileTheDatabaseIsSilent(t *testing.T) {
	databaseURL := postgreSQL(t).Database(t)
	db := watched(t, databaseURL)
	admin := connected(t, databaseURL)
	var listeners []int32
	eventually(t, "one connection listens", func() bool {
		listeners = column[int32](t, admin, listening)
		return len(listeners) == 1
	})
	listener := int(listeners[0])
	if err := syscall.Kill(listener, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(listener, syscall.SIGCONT) }() // it may have ended
	before := db.Changes.Accounts()
	eventually(t, "the silence is noticed", func() bool { return db.Changes.Accounts() != before })
	eventually(t, "it hears on another connection", func() bool { return hears(db) })
}

func TestNothingHoldsInADatabaseThatNobodyWatches(t *testing.T) {
	db := openPostgres(t, postgreSQL(t).Database(t))
	if hears(db) {
		t.Error("what others change goes unnoticed")
	}
}

func TestWithSQLiteThereIsNobodyToHear(t *testing.T) {
	db, err := metadata.Open(t.Context(), t.TempDir()+"/metadata.db")
	if err != nil {
		t.Fatal(err)
	}
	db.Watch(t.Context(), nil, slog.New(slog.DiscardHandler)) // returns
	if !hears(db) {
		t.Error("what was read does not hold")
	}
	if err := db.Hints.Tell(t.Context(), "a hint"); err != nil {
		t.Errorf("telling nobody a hint: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

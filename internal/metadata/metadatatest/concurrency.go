package metadatatest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// workers is how many goroutines write at once, more than any pool has connections.
const workers = 16

func concurrency(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"whatever was acknowledged is found after reopening": func(t *testing.T, db *metadata.DB) {
			everythingAcknowledgedIsFound(t, db, open)
		},
		"a tag that many set is one of theirs, and its history is whole": racingTag,
		"readers never see half of a push":                               readersSeeWholePushes,
		"many create the same, and one does":                             oneCreates,
		"a tag never names a manifest that was deleted":                  tagAgainstDelete,
		"a call that is canceled leaves the database usable":             canceledCalls,
	})
}

// together runs fn in many goroutines and fails with the first error.
func together(t *testing.T, fn func(worker int) error) {
	t.Helper()
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	ok(t, errors.Join(errs...))
}

func everythingAcknowledgedIsFound(t *testing.T, db *metadata.DB, open func(t *testing.T) *metadata.DB) {
	const rounds = 8
	ctx := t.Context()
	shared := manifest("shared")
	repository := func(worker int) string { return fmt.Sprintf("demo/app-%d", worker%4) }
	name := func(worker, round int) string { return fmt.Sprintf("%d-%d", worker, round) }
	together(t, func(worker int) error {
		for round := range rounds {
			own, b := manifest(name(worker, round)), blob(name(worker, round))
			err := errors.Join(
				db.Blobs.Put(ctx, b, repository(worker)),
				db.Blobs.Link(ctx, repository(worker+1), b.Digest),
				put(ctx, db, repository(worker), own, name(worker, round)),
				put(ctx, db, repository(worker), shared, "shared"),
				db.Manifests.Link(ctx, repository(worker+1), own.Digest),
				db.Tags.Set(ctx, repository(worker+1), "linked-"+name(worker, round), own.Digest, time.Time{}, "bob"),
				second(db.Blobs.Get(ctx, repository(worker), b.Digest)), // its own writes are seen at once
				second(db.Manifests.Get(ctx, repository(worker+1), own.Digest)),
			)
			if err != nil {
				return err
			}
		}
		return nil
	})
	ok(t, db.Close())
	db = open(t)
	for worker := range workers {
		for round := range rounds {
			own, b := manifest(name(worker, round)), blob(name(worker, round))
			got, _, err := db.Manifests.GetByTag(ctx, repository(worker), name(worker, round))
			ok(t, err)
			same(t, own.Manifest, got)
			got, _, err = db.Manifests.GetByTag(ctx, repository(worker+1), "linked-"+name(worker, round))
			ok(t, err)
			same(t, own.Manifest, got)
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(ctx, repository(worker), b.Digest)))
			same(t, b, must[metadata.Blob](t)(db.Blobs.Get(ctx, repository(worker+1), b.Digest)))
		}
	}
	same(t, 2*workers/4*rounds+1, len(must[[]string](t)(db.Tags.List(ctx, repository(0), "", many))))
}

func racingTag(t *testing.T, db *metadata.DB) {
	const rounds = 4
	ctx := t.Context()
	pushed := make(map[digest.Digest]bool)
	for worker := range workers {
		pushed[manifest(fmt.Sprint(worker)).Digest] = true
	}
	together(t, func(worker int) error {
		for range rounds {
			if err := put(ctx, db, "demo/app", manifest(fmt.Sprint(worker)), "latest"); err != nil {
				return err
			}
			m, tag, err := db.Manifests.GetByTag(ctx, "demo/app", "latest")
			if err != nil {
				return err
			}
			if !pushed[tag.Digest] || m.Digest != tag.Digest || digest.FromBytes(m.Content) != tag.Digest {
				return fmt.Errorf("the tag names %s, the manifest is %s: %s", tag.Digest, m.Digest, m.Content)
			}
		}
		return nil
	})
	tag := must[metadata.Tag](t)(db.Tags.Get(ctx, "demo/app", "latest"))
	moves := must[[]metadata.TagMove](t)(db.Tags.History(ctx, "demo/app", "latest", many))
	same(t, tag.Digest, moves[0].Digest)
	for i := 1; i < len(moves); i++ {
		if moves[i-1].Digest == moves[i].Digest {
			t.Fatalf("moves %d and %d are to the same manifest: a move in between was lost", i-1, i)
		}
	}
}

func readersSeeWholePushes(t *testing.T, db *metadata.DB) {
	const rounds = 10
	ctx := t.Context()
	ok(t, put(ctx, db, "demo/app", manifest("0"), "a", "b"))
	together(t, func(worker int) error {
		if worker == 0 {
			for round := range rounds {
				if err := put(ctx, db, "demo/app", manifest(fmt.Sprint(round)), "b", "a"); err != nil {
					return err
				}
			}
			return nil
		}
		for range rounds {
			m, tag, err := db.Manifests.GetByTag(ctx, "demo/app", "b")
			if err != nil {
				return err
			}
			if m.Digest != tag.Digest || digest.FromBytes(m.Content) != m.Digest {
				return fmt.Errorf("tag b names %s, but the manifest is %s", tag.Digest, m.Content)
			}
			if err := second(db.Manifests.Get(ctx, "demo/app", tag.Digest)); err != nil {
				return err
			}
		}
		return nil
	})
}

func oneCreates(t *testing.T, db *metadata.DB) {
	ctx := t.Context()
	var (
		mu      sync.Mutex
		created int
	)
	together(t, func(worker int) error {
		err := db.Projects.Create(ctx, metadata.Project{Name: "team", Kind: metadata.Hosted, Creator: fmt.Sprint(worker)})
		if err == nil {
			mu.Lock()
			created++
			mu.Unlock()
		} else if !errors.Is(err, metadata.ErrExists) {
			return err
		}
		return errors.Join(
			db.Projects.Ensure(ctx, metadata.Project{Name: "team", Kind: metadata.Hosted}),
			db.Repositories.Create(ctx, "team/app"),
		)
	})
	same(t, 1, created)
	same(t, []string{"team/app"}, must[[]string](t)(db.Repositories.List(ctx, "", many)))
}

func tagAgainstDelete(t *testing.T, db *metadata.DB) {
	ctx := t.Context()
	m := manifest("contested")
	together(t, func(worker int) error {
		for range 4 {
			var err error
			if worker%2 == 0 {
				err = put(ctx, db, "demo/app", m, "latest")
			} else {
				err = db.Manifests.Delete(ctx, "demo/app", m.Digest, nil)
			}
			if err != nil && !errors.Is(err, metadata.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	_, tagErr := db.Tags.Get(ctx, "demo/app", "latest")
	_, manifestErr := db.Manifests.Get(ctx, "demo/app", m.Digest)
	_, heldErr := db.Manifests.Held(ctx, m.Digest)
	if tagErr == nil {
		ok(t, errors.Join(manifestErr, heldErr))
		return
	}
	notFound(t, tagErr)
	notFound(t, manifestErr)
	notFound(t, heldErr)
}

func canceledCalls(t *testing.T, db *metadata.DB) {
	together(t, func(worker int) error {
		for round := range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round*worker)*20*time.Microsecond)
			m := manifest(fmt.Sprintf("%d-%d", worker, round))
			err := put(ctx, db, "demo/app", m, fmt.Sprint(worker))
			cancel()
			if err == nil {
				if err := second(db.Manifests.Get(t.Context(), "demo/app", m.Digest)); err != nil {
					return fmt.Errorf("after an acknowledged push: %w", err)
				}
			}
		}
		return nil
	})
	m := manifest("afterwards")
	ok(t, put(t.Context(), db, "demo/app", m, "latest"))
	same(t, m.Manifest, must[oci.Manifest](t)(db.Manifests.Get(t.Context(), "demo/app", m.Digest)))
}

package metadatatest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// hook is a webhook of demo that hears of pushes, unless it is changed.
func hook(name string, changes ...func(*metadata.Webhook)) metadata.Webhook {
	w := metadata.Webhook{
		Project: "demo", Name: name, URL: "https://ci.example/" + name, Events: []string{metadata.EventPush},
		Sealed: []byte("sealed"), Creator: "alice", CreatedAt: noon,
	}
	for _, change := range changes {
		change(&w)
	}
	return w
}

func hearing(events ...string) func(*metadata.Webhook) {
	return func(w *metadata.Webhook) { w.Events = events }
}

// hooked makes webhooks and returns their ids.
func hooked(t *testing.T, db *metadata.DB, all ...metadata.Webhook) []int64 {
	t.Helper()
	var ids []int64
	for _, w := range all {
		ok(t, db.Webhooks.Create(t.Context(), w, many))
		ids = append(ids, must[metadata.Webhook](t)(db.Webhooks.Get(t.Context(), w.Project, w.Name)).ID)
	}
	return ids
}

func webhooks(t *testing.T, open func(t *testing.T) *metadata.DB) {
	names := func(t *testing.T, db *metadata.DB) []string {
		t.Helper()
		var all []string
		for _, w := range must[[]metadata.Webhook](t)(db.Webhooks.List(t.Context(), "demo")) {
			all = append(all, w.Name)
		}
		return all
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a webhook is read as it was kept": func(t *testing.T, db *metadata.DB) {
			want := hook("ci", hearing(metadata.EventDelete, metadata.EventPush), func(w *metadata.Webhook) { w.Repository = "demo/app" })
			want.ID = hooked(t, db, want)[0]
			same(t, want, must[metadata.Webhook](t)(db.Webhooks.Get(t.Context(), "demo", "ci")))
			same(t, []metadata.Webhook{want}, must[[]metadata.Webhook](t)(db.Webhooks.List(t.Context(), "demo")))
			notFound(t, second(db.Webhooks.Get(t.Context(), "demo", "other")))
			notFound(t, second(db.Webhooks.Get(t.Context(), "hub", "ci")))
		},
		"a project has each name once, and no more than it may": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("b"), hook("a"))
			alreadyThere(t, db.Webhooks.Create(t.Context(), hook("a"), many))
			if err := db.Webhooks.Create(t.Context(), hook("c"), 2); !errors.Is(err, metadata.ErrTooMany) {
				t.Errorf("a third one: %v", err)
			}
			notFound(t, db.Webhooks.Create(t.Context(), hook("a", func(w *metadata.Webhook) { w.Project = "never" }), many))
			same(t, []string{"a", "b"}, names(t, db))
		},
		"a webhook goes with its deliveries, and with its project": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("a"), hook("b"))
			ok(t, put(t.Context(), db, "demo/app", manifest("one")))
			ok(t, pushed(t, db, "demo/app", "1"))
			ok(t, db.Webhooks.Delete(t.Context(), "demo", "a"))
			notFound(t, db.Webhooks.Delete(t.Context(), "demo", "a"))
			same(t, []string{"b"}, names(t, db))
			same(t, 1, len(told(t, db, "demo")))
			ok(t, second(db.Projects.Delete(t.Context(), "demo")))
			same(t, nil, names(t, db))
		},
		"a webhook that is set aside hears of nothing until it is resumed": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"))[0]
			ok(t, pushed(t, db, "demo/app", "1"))
			same(t, metadata.WebhookCounts{Waiting: 1}, must[metadata.WebhookCounts](t)(db.Webhooks.Counts(t.Context())))
			same(t, true, must[bool](t)(db.Webhooks.SetAside(t.Context(), id, noon, "it fails")))
			same(t, false, must[bool](t)(db.Webhooks.SetAside(t.Context(), id, noon.Add(time.Hour), "it still fails")))
			ok(t, pushed(t, db, "demo/app", "2"))
			w := must[metadata.Webhook](t)(db.Webhooks.Get(t.Context(), "demo", "ci"))
			if w.SetAsideAt != noon || w.Reason != "it fails" || w.Waiting != 1 {
				t.Errorf("it is %+v", w)
			}
			same(t, nil, must[[]int64](t)(db.Webhooks.DueWebhooks(t.Context(), noon.Add(many*time.Hour), many)))
			same(t, metadata.WebhookCounts{SetAside: 1}, must[metadata.WebhookCounts](t)(db.Webhooks.Counts(t.Context())))
			ok(t, db.Webhooks.Resume(t.Context(), "demo", "ci"))
			notFound(t, db.Webhooks.Resume(t.Context(), "demo", "other"))
			same(t, []int64{id}, must[[]int64](t)(db.Webhooks.DueWebhooks(t.Context(), noon, many)))
			ok(t, pushed(t, db, "demo/app", "3"))
			same(t, []string{"push demo/app:1", "push demo/app:3"}, told(t, db, "demo"))
		},
		"one that too many deliveries wait for is found": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"))[0]
			for i := range 3 {
				ok(t, pushed(t, db, "demo/app", fmt.Sprint(i)))
			}
			same(t, 0, len(must[[]metadata.Webhook](t)(db.Webhooks.Overflowing(t.Context(), 3))))
			same(t, []metadata.Webhook{{ID: id, Project: "demo", Name: "ci", Waiting: 3}}, must[[]metadata.Webhook](t)(db.Webhooks.Overflowing(t.Context(), 2)))
		},
	})
}

// pushed pushes an image of its own to a tag, as people do.
func pushed(t *testing.T, db *metadata.DB, repository string, tags ...string) error {
	t.Helper()
	return db.Manifests.Put(t.Context(), metadata.PutManifest{Repository: repository, Manifest: manifest(fmt.Sprint(repository, tags)), Tags: tags, Actor: "alice", Pushed: true})
}

// told lists what the webhooks of a project hear of, in the order in which it happened.
func told(t *testing.T, db *metadata.DB, project string) []string {
	t.Helper()
	var all []string
	for _, d := range must[[]metadata.Delivery](t)(db.Webhooks.Deliveries(t.Context(), metadata.DeliveryQuery{Project: project, Limit: many})) {
		all = append(all, d.Kind+" "+d.Repository+":"+d.Tag)
	}
	slices.Reverse(all)
	return all
}

func events(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"pushes are heard of by tag, and by those who listen": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("all"), hook("app", func(w *metadata.Webhook) { w.Repository = "demo/app" }), hook("deaf", hearing(metadata.EventDelete)))
			ok(t, pushed(t, db, "demo/app", "1", "latest"))
			ok(t, pushed(t, db, "demo/app"))
			ok(t, pushed(t, db, "demo/web", "1"))
			ok(t, put(t.Context(), db, "demo/web", manifest("fetched"), "2"))
			same(t, []string{"push demo/app:1", "push demo/app:1", "push demo/app:latest", "push demo/app:latest", "push demo/web:1"}, told(t, db, "demo"))
			of := func(webhook string) int {
				return len(must[[]metadata.Delivery](t)(db.Webhooks.Deliveries(t.Context(), metadata.DeliveryQuery{Project: "demo", Webhook: webhook, Limit: many})))
			}
			same(t, []int{3, 2, 0}, []int{of("all"), of("app"), of("deaf")})
		},
		"a push that fails is not heard of": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("ci"))
			refused := errors.New("it may not")
			err := db.Manifests.Put(t.Context(), metadata.PutManifest{
				Repository: "demo/app", Manifest: manifest("one"), Tags: []string{"1"}, Pushed: true,
			})
			ok(t, err)
			err = db.Manifests.Put(t.Context(), metadata.PutManifest{
				Repository: "demo/app", Manifest: manifest("two"), Tags: []string{"2", "1"}, Pushed: true, Keeps: func(string) error { return refused },
			})
			if !errors.Is(err, refused) {
				t.Fatalf("got %v", err)
			}
			same(t, []string{"push demo/app:1"}, told(t, db, "demo"))
		},
		"deletions are heard of, whoever deletes": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("ci", hearing(metadata.EventDelete)))
			ok(t, pushed(t, db, "demo/app", "1", "2"))
			ok(t, pushed(t, db, "demo/app", "3"))
			ok(t, db.Tags.Delete(t.Context(), "demo/app", "1"))
			notFound(t, db.Tags.Delete(t.Context(), "demo/app", "1"))
			three := must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", "3"))
			same(t, true, must[bool](t)(db.Tags.Retire(t.Context(), "demo/app", three, "retention")))
			same(t, false, must[bool](t)(db.Tags.Retire(t.Context(), "demo/app", three, "retention")))
			two := must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", "2"))
			ok(t, db.Manifests.Delete(t.Context(), "demo/app", two.Digest, nil))
			ok(t, second(db.Repositories.Delete(t.Context(), metadata.Deletion{Repository: "demo/app"})))
			same(t, []string{"delete demo/app:1", "delete demo/app:3", "delete demo/app:2", "delete demo/app:"}, told(t, db, "demo"))
		},
		"a failure is heard of once, and only if it is to be told": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("ops", hearing(metadata.EventFillFailed), func(w *metadata.Webhook) { w.Project = "hub" }))
			telling := func(f *metadata.Failure) { f.Told = true }
			ok(t, db.Failures.Note(t.Context(), []metadata.Failure{failure("A", telling), failure("B")}))
			ok(t, db.Failures.Note(t.Context(), []metadata.Failure{failure("A", telling), failure("C", telling)}))
			same(t, []string{"fill-failed hub/library/nginx:latest", "fill-failed hub/library/nginx:latest"}, told(t, db, "hub"))
		},
		"a warning of a pull limit is heard of once": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("ops", hearing(metadata.EventPullLimit), func(w *metadata.Webhook) { w.Project = "hub" }))
			for range 2 {
				ok(t, second(db.Ledger.Warn(t.Context(), metadata.LedgerAccount{Upstream: "hub", Credential: "anonymous"}, 20, noon, "little is left")))
			}
			all := must[[]metadata.Delivery](t)(db.Webhooks.Deliveries(t.Context(), metadata.DeliveryQuery{Project: "hub", Limit: many}))
			if len(all) != 1 || all[0].Kind != metadata.EventPullLimit || all[0].Detail != "little is left" || all[0].At != noon {
				t.Errorf("heard of is %+v", all)
			}
		},
	})
}

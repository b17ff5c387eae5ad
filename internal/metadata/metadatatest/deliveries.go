package metadatatest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func deliveries(t *testing.T, open func(t *testing.T) *metadata.DB) {
	later := time.Now().Add(time.Hour)
	due := func(t *testing.T, db *metadata.DB, id int64) []metadata.Delivery {
		t.Helper()
		return must[[]metadata.Delivery](t)(db.Webhooks.Due(t.Context(), id, later, many))
	}
	about := func(all []metadata.Delivery) []string {
		var names []string
		for _, d := range all {
			names = append(names, d.Repository+":"+d.Tag)
		}
		return names
	}
	attempt := metadata.Attempt{Attempts: 1, AttemptedAt: noon, Status: 503, Took: 20 * time.Millisecond, Message: "answered 503"}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"the oldest of each repository is due": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"), hook("deaf", hearing(metadata.EventDelete)))[0]
			same(t, nil, must[[]int64](t)(db.Webhooks.DueWebhooks(t.Context(), later, many)))
			for _, tag := range []string{"1", "2"} {
				ok(t, pushed(t, db, "demo/app", tag))
				ok(t, pushed(t, db, "demo/web", tag))
			}
			same(t, []int64{id}, must[[]int64](t)(db.Webhooks.DueWebhooks(t.Context(), later, many)))
			same(t, []string{"demo/app:1", "demo/web:1"}, about(due(t, db, id)))
			same(t, 1, len(must[[]metadata.Delivery](t)(db.Webhooks.Due(t.Context(), id, later, 1))))
			one := due(t, db, id)[0]
			same(t, []string{"ci", "demo", "https://ci.example/ci", "sealed"}, []string{one.Webhook.Name, one.Project, one.Webhook.URL, string(one.Webhook.Sealed)})

			ok(t, db.Webhooks.Delivered(t.Context(), one, attempt))
			same(t, []string{"demo/web:1", "demo/app:2"}, about(due(t, db, id)))
		},
		"what is postponed holds back what comes after it in its repository": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"))[0]
			for _, tag := range []string{"1", "2"} {
				ok(t, pushed(t, db, "demo/app", tag))
				ok(t, pushed(t, db, "demo/web", tag))
			}
			ok(t, db.Webhooks.Postponed(t.Context(), due(t, db, id)[0], attempt, later.Add(time.Minute)))
			same(t, []string{"demo/web:1"}, about(due(t, db, id)))
			later := later.Add(time.Minute)
			all := must[[]metadata.Delivery](t)(db.Webhooks.Due(t.Context(), id, later, many))
			same(t, []string{"demo/app:1", "demo/web:1"}, about(all))
			same(t, attempt, all[0].Attempt)
		},
		"those given up one after the other are counted": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"))[0]
			for i := range 4 {
				ok(t, pushed(t, db, "demo/app", fmt.Sprint(i)))
			}
			giveUp := func() int { return must[int](t)(db.Webhooks.GivenUp(t.Context(), due(t, db, id)[0], attempt)) }
			same(t, []int{1, 2}, []int{giveUp(), giveUp()})
			ok(t, db.Webhooks.Delivered(t.Context(), due(t, db, id)[0], attempt))
			same(t, 1, giveUp())
			same(t, 0, len(due(t, db, id)))
		},
		"a delivery is made again, and is first once more": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"))[0]
			ok(t, pushed(t, db, "demo/app", "1"))
			ok(t, pushed(t, db, "demo/app", "2"))
			one := due(t, db, id)[0]
			ok(t, db.Webhooks.Delivered(t.Context(), one, attempt))
			same(t, true, must[metadata.Delivery](t)(db.Webhooks.Delivery(t.Context(), "demo", one.ID)).Delivered)
			ok(t, db.Webhooks.Redeliver(t.Context(), "demo", one.ID))
			again := must[metadata.Delivery](t)(db.Webhooks.Delivery(t.Context(), "demo", one.ID))
			if again.Delivered || again.Attempts != 0 || again.NextAt.After(noon) {
				t.Errorf("it is %+v", again)
			}
			same(t, []string{"demo/app:1"}, about(due(t, db, id)))
			notFound(t, db.Webhooks.Redeliver(t.Context(), "demo", one.ID+many))
			notFound(t, db.Webhooks.Redeliver(t.Context(), "hub", one.ID))
			notFound(t, second(db.Webhooks.Delivery(t.Context(), "hub", one.ID)))
		},
		"what came of a delivery whose webhook is gone is not found": func(t *testing.T, db *metadata.DB) {
			id := hooked(t, db, hook("ci"))[0]
			ok(t, pushed(t, db, "demo/app", "1"))
			one := due(t, db, id)[0]
			ok(t, db.Webhooks.Delete(t.Context(), "demo", "ci"))
			notFound(t, db.Webhooks.Delivered(t.Context(), one, attempt))
			notFound(t, db.Webhooks.Postponed(t.Context(), one, attempt, noon))
			notFound(t, second(db.Webhooks.GivenUp(t.Context(), one, attempt)))
		},
		"deliveries are listed page by page, from the newest on": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("ci"))
			for i := range 3 {
				ok(t, pushed(t, db, "demo/app", fmt.Sprint(i)))
			}
			page := must[[]metadata.Delivery](t)(db.Webhooks.Deliveries(t.Context(), metadata.DeliveryQuery{Project: "demo", Limit: 2}))
			same(t, []string{"demo/app:2", "demo/app:1"}, about(page))
			page = must[[]metadata.Delivery](t)(db.Webhooks.Deliveries(t.Context(), metadata.DeliveryQuery{Project: "demo", Before: page[1].ID, Limit: 2}))
			same(t, []string{"demo/app:0"}, about(page))
		},
		"old ones are deleted, and of each webhook what is too much and does not wait": func(t *testing.T, db *metadata.DB) {
			ids := hooked(t, db, hook("ci"), hook("chat"))
			for i := range 4 {
				ok(t, pushed(t, db, "demo/app", fmt.Sprint(i)))
			}
			for range 3 {
				ok(t, db.Webhooks.Delivered(t.Context(), due(t, db, ids[0])[0], attempt))
			}
			shorten := func(before time.Time, keep, limit int) int64 {
				return must[int64](t)(db.Webhooks.Shorten(t.Context(), before, keep, limit))
			}
			same(t, 1, shorten(noon, 2, many))
			same(t, 7, len(told(t, db, "demo")))
			same(t, 1, shorten(noon, 0, 1))
			same(t, 1, shorten(noon, 0, many))
			same(t, []string{"demo/app:3"}, about(due(t, db, ids[0])))
			same(t, 5, shorten(later, many, many))
			same(t, nil, told(t, db, "demo"))
		},
		"pushes at once are told in the order of what the tag named": func(t *testing.T, db *metadata.DB) {
			hooked(t, db, hook("ci"))
			var all sync.WaitGroup
			for worker := range 4 {
				all.Go(func() {
					for round := range 5 {
						err := db.Manifests.Put(t.Context(), metadata.PutManifest{
							Repository: "demo/app", Manifest: manifest(fmt.Sprint(worker, round)), Tags: []string{"latest"}, Actor: "alice", Pushed: true,
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			heard := must[[]metadata.Delivery](t)(db.Webhooks.Deliveries(t.Context(), metadata.DeliveryQuery{Project: "demo", Limit: many}))
			moves := must[[]metadata.TagMove](t)(db.Tags.History(t.Context(), "demo/app", "latest", many))
			same(t, 20, len(heard))
			for i, m := range moves {
				same(t, m.Digest, heard[i].Digest)
			}
		},
	})
}

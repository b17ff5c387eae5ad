package metadata

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// Delivery is an event on its way to a webhook, or what came of it.
type Delivery struct {
	ID int64 // given by the database, growing in the order of what has happened
	Event
	Webhook Webhook
	// NextAt is when it is to be tried; zero: it was Delivered, or given up.
	NextAt    time.Time
	Delivered bool
	Attempt   // the last one
}

// Attempt is one try to deliver.
type Attempt struct {
	Attempts    int // how many there were with this one
	AttemptedAt time.Time
	Status      int // of the answer; 0: there was none
	Took        time.Duration
	Message     string // what went wrong
}

const deliveryColumns = `d.id, d.event, d.repository, d.tag, d.digest, d.actor, d.detail, d.at, d.next_at, d.delivered, d.attempts, d.attempted_at, d.status, d.took, d.message`

const selectDeliveries = "SELECT " + deliveryColumns + ", " + webhookColumns + " FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id "

func scanDelivery(r row) (Delivery, error) {
	var d Delivery
	var took int64
	var events string
	err := r.Scan(append([]any{
		&d.ID, &d.Kind, &d.Repository, &d.Tag, &d.Digest, &d.Actor, &d.Detail, scanStamp{&d.At}, scanStamp{&d.NextAt}, &d.Delivered,
		&d.Attempts, scanStamp{&d.AttemptedAt}, &d.Status, &took, &d.Message,
	}, webhookPlaces(&d.Webhook, &events)...)...)
	d.Took, d.Project, d.Webhook.Events = time.Duration(took)*time.Microsecond, d.Webhook.Project, strings.Fields(events)
	return d, err
}

// DueWebhooks tells at most limit webhooks, in any order, that have something to be tried.
func (ws *Webhooks) DueWebhooks(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	all, err := list(ctx, ws.store, scanOne[int64], `
		SELECT due.id FROM (
			SELECT DISTINCT w.id AS id FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id
			WHERE d.next_at <= $1 AND w.set_aside_at IS NULL) due
		ORDER BY RANDOM() LIMIT $2`, stamp{now}, limit)
	if err != nil {
		return nil, failed(err, "looking for deliveries")
	}
	return all, nil
}

// Due tells at most limit deliveries of a webhook that are to be tried: of each repository
// the oldest that is neither delivered nor given up, if its time has come.
func (ws *Webhooks) Due(ctx context.Context, webhook int64, now time.Time, limit int) ([]Delivery, error) {
	all, err := list(ctx, ws.store, scanDelivery, selectDeliveries+`
		WHERE d.id IN (
			SELECT MIN(f.id) FROM deliveries f WHERE f.webhook_id = $1 AND f.next_at IS NOT NULL GROUP BY f.repository)
			AND d.next_at <= $2
		ORDER BY d.id LIMIT $3`, webhook, stamp{now}, limit)
	if err != nil {
		return nil, failed(err, "reading the deliveries of webhook %d", webhook)
	}
	return all, nil
}

// Delivered notes that a delivery has arrived.
func (ws *Webhooks) Delivered(ctx context.Context, d Delivery, a Attempt) error {
	err := ws.store.update(ctx, func(tx *sql.Tx) error {
		if err := attempted(ctx, tx, d.ID, a, time.Time{}, true); err != nil {
			return err
		}
		_, err := change(ctx, tx, "UPDATE webhooks SET failures = 0 WHERE id = $1 AND failures > 0", d.Webhook.ID)
		return err
	})
	if err != nil {
		return failed(err, "noting delivery %d", d.ID)
	}
	return nil
}

// Postponed notes that a delivery has failed and is to be tried again.
func (ws *Webhooks) Postponed(ctx context.Context, d Delivery, a Attempt, until time.Time) error {
	err := ws.store.update(ctx, func(tx *sql.Tx) error { return attempted(ctx, tx, d.ID, a, until, false) })
	if err != nil {
		return failed(err, "noting delivery %d", d.ID)
	}
	return nil
}

// GivenUp notes that a delivery has failed for good, and tells how many of its webhook did
// so one after the other.
func (ws *Webhooks) GivenUp(ctx context.Context, d Delivery, a Attempt) (inARow int, err error) {
	err = ws.store.update(ctx, func(tx *sql.Tx) error {
		if err := attempted(ctx, tx, d.ID, a, time.Time{}, false); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "UPDATE webhooks SET failures = failures + 1 WHERE id = $1 RETURNING failures", d.Webhook.ID).Scan(&inARow)
	})
	if err != nil {
		return 0, failed(err, "noting delivery %d", d.ID)
	}
	return inARow, nil
}

// attempted writes what came of an attempt. A delivery that is gone is ErrNotFound.
func attempted(ctx context.Context, tx *sql.Tx, id int64, a Attempt, next time.Time, delivered bool) error {
	return oneChanged(change(ctx, tx, `
		UPDATE deliveries SET next_at = $2, delivered = $3, attempts = $4, attempted_at = $5, status = $6, took = $7, message = $8
		WHERE id = $1`, id, stamp{next}, delivered, a.Attempts, stamp{a.AttemptedAt}, a.Status, a.Took.Microseconds(), a.Message))
}

// DeliveryQuery says which deliveries are asked for; zero fields ask for all.
type DeliveryQuery struct {
	Project string
	Webhook string // of the project
	Before  int64  // none that are as new as the one with this ID
	Limit   int
}

// Deliveries tells of deliveries, the newest first.
func (ws *Webhooks) Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error) {
	if q.Before == 0 {
		q.Before = 1<<63 - 1
	}
	where, args := "", []any{q.Project, q.Before, q.Limit}
	if q.Webhook != "" {
		where, args = "AND w.name = $4", append(args, q.Webhook)
	}
	all, err := list(ctx, ws.store, scanDelivery, selectDeliveries+"WHERE w.project = $1 AND d.id < $2 "+where+" ORDER BY d.id DESC LIMIT $3", args...)
	if err != nil {
		return nil, failed(err, "reading the deliveries of project %s", q.Project)
	}
	return all, nil
}

// Delivery finds a delivery of a project by its id.
func (ws *Webhooks) Delivery(ctx context.Context, project string, id int64) (Delivery, error) {
	d, err := one(ctx, ws.store, scanDelivery, selectDeliveries+"WHERE w.project = $1 AND d.id = $2", project, id)
	if err != nil {
		return Delivery{}, failed(err, "reading delivery %d of project %s", id, project)
	}
	return d, nil
}

// Redeliver has a delivery of a project tried at once, whatever came of it before.
func (ws *Webhooks) Redeliver(ctx context.Context, project string, id int64) error {
	err := oneChanged(ws.store.change(ctx, `
		UPDATE deliveries SET next_at = 0, attempts = 0, delivered = FALSE
		WHERE id = $2 AND webhook_id IN (SELECT w.id FROM webhooks w WHERE w.project = $1)`, project, id))
	if err != nil {
		return failed(err, "delivering %d of project %s again", id, project)
	}
	return nil
}

// Overflowing tells webhooks that do not rest and that more deliveries wait for than most.
func (ws *Webhooks) Overflowing(ctx context.Context, most int) ([]Webhook, error) {
	all, err := list(ctx, ws.store, func(r row) (w Webhook, err error) {
		return w, r.Scan(&w.ID, &w.Project, &w.Name, &w.Waiting)
	}, `
		SELECT w.id, w.project, w.name, waiting.count FROM webhooks w JOIN (
			SELECT webhook_id, COUNT(*) AS count FROM deliveries WHERE next_at IS NOT NULL GROUP BY webhook_id) waiting ON waiting.webhook_id = w.id
		WHERE w.set_aside_at IS NULL AND waiting.count > $1 ORDER BY w.id`, most)
	if err != nil {
		return nil, failed(err, "counting what waits for webhooks")
	}
	return all, nil
}

// Shorten removes at most limit deliveries: those of events before a time, and of each
// webhook the ones beyond the newest keep that do not wait. It tells how many it removed.
func (ws *Webhooks) Shorten(ctx context.Context, before time.Time, keep, limit int) (deleted int64, err error) {
	deleted, err = ws.store.change(ctx, `
		DELETE FROM deliveries WHERE id IN (
			SELECT ranked.id FROM (
				SELECT d.id AS id, d.at AS at, d.next_at AS next_at,
					ROW_NUMBER() OVER (PARTITION BY d.webhook_id, d.next_at IS NULL ORDER BY d.id DESC) AS place
				FROM deliveries d) ranked
			WHERE ranked.at < $1 OR ranked.next_at IS NULL AND ranked.place > $2
			LIMIT $3)`, stamp{before}, keep, limit)
	if err != nil {
		return 0, failed(err, "deleting old deliveries")
	}
	return deleted, nil
}

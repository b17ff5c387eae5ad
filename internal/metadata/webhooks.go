package metadata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Kinds of events.
const (
	EventPush   = "push"   // a tag was set, to the same manifest or another
	EventDelete = "delete" // a tag or a repository was deleted
	// EventPullLimit is of a cache project: little is left of its upstream's pull limit.
	EventPullLimit = "pull-limit"
	// EventFillFailed is of a cache project: it refused a pull, because it did not get
	// what was asked for.
	EventFillFailed = "fill-failed"
)

// Event is something that webhooks hear of.
type Event struct {
	Kind       string
	Project    string
	Repository string // with its project; "" where it is none's
	Tag        string
	Digest     digest.Digest
	Actor      string
	Detail     string // in words
	At         time.Time
}

// Webhook is told what happens in a project.
type Webhook struct {
	ID         int64 // given by the database
	Project    string
	Name       string
	Repository string // with its project; "" for all of them
	URL        string
	Events     []string // kinds
	// Sealed is the secret that deliveries are signed by, encrypted by who keeps it here.
	Sealed    []byte
	Creator   string
	CreatedAt time.Time
	// Failures are deliveries in a row that were given up, SetAsideAt is since when nothing
	// is delivered because of Reason; zero: it is.
	Failures   int
	SetAsideAt time.Time
	Reason     string
	Waiting    int64 // deliveries that are to be tried; filled in by Get and List
}

// Webhooks keeps the webhooks of projects, and their deliveries.
type Webhooks struct{ store *store }

const webhookColumns = `w.id, w.project, w.name, w.repository, w.url, w.events, w.sealed, w.creator, w.created_at, w.failures, w.set_aside_at, w.reason`

func webhookPlaces(w *Webhook, events *string) []any {
	return []any{
		&w.ID, &w.Project, &w.Name, &w.Repository, &w.URL, events, &w.Sealed, &w.Creator, scanStamp{&w.CreatedAt}, &w.Failures, scanStamp{&w.SetAsideAt}, &w.Reason,
	}
}

// Create adds a webhook. ErrNotFound says that there is no such project, ErrExists that it
// has one of that name, ErrTooMany that it has most already.
func (ws *Webhooks) Create(ctx context.Context, w Webhook, most int) error {
	err := ws.store.update(ctx, func(tx *sql.Tx) error {
		if err := requireProject(ctx, tx, w.Project); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM webhooks WHERE project = $1", w.Project).Scan(&count); err != nil {
			return err
		}
		if count >= most {
			return ErrTooMany
		}
		changed, err := change(ctx, tx, `
			INSERT INTO webhooks (project, name, repository, url, events, sealed, creator, created_at, failures, reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '')
			ON CONFLICT (project, name) DO NOTHING`,
			w.Project, w.Name, w.Repository, w.URL, strings.Join(w.Events, " "), w.Sealed, w.Creator, stamp{w.CreatedAt})
		if err == nil && changed == 0 {
			err = ErrExists
		}
		return err
	})
	if err != nil {
		return failed(err, "keeping webhook %s of project %s", w.Name, w.Project)
	}
	return nil
}

const selectWebhooks = `
	SELECT ` + webhookColumns + `, (SELECT COUNT(*) FROM deliveries d WHERE d.webhook_id = w.id AND d.next_at IS NOT NULL)
	FROM webhooks w WHERE w.project = $1`

// Get finds a webhook.
func (ws *Webhooks) Get(ctx context.Context, project, name string) (Webhook, error) {
	w, err := one(ctx, ws.store, scanWebhook, selectWebhooks+" AND w.name = $2", project, name)
	if err != nil {
		return Webhook{}, failed(err, "reading webhook %s of project %s", name, project)
	}
	return w, nil
}

// List tells all webhooks of a project, by name.
func (ws *Webhooks) List(ctx context.Context, project string) ([]Webhook, error) {
	all, err := list(ctx, ws.store, scanWebhook, selectWebhooks+" ORDER BY w.name", project)
	if err != nil {
		return nil, failed(err, "listing the webhooks of project %s", project)
	}
	return all, nil
}

func scanWebhook(r row) (Webhook, error) {
	var w Webhook
	var events string
	err := r.Scan(append(webhookPlaces(&w, &events), &w.Waiting)...)
	w.Events = strings.Fields(events)
	return w, err
}

// Delete removes a webhook with its deliveries; ErrNotFound says that there is none.
func (ws *Webhooks) Delete(ctx context.Context, project, name string) error {
	err := oneChanged(ws.store.change(ctx, "DELETE FROM webhooks WHERE project = $1 AND name = $2", project, name))
	if err != nil {
		return failed(err, "deleting webhook %s of project %s", name, project)
	}
	return nil
}

// SetAside lets a webhook rest until Resume; first is true unless it rests already.
func (ws *Webhooks) SetAside(ctx context.Context, id int64, at time.Time, reason string) (first bool, err error) {
	changed, err := ws.store.change(ctx, `
		UPDATE webhooks SET set_aside_at = $2, reason = $3 WHERE id = $1 AND set_aside_at IS NULL`, id, stamp{at}, reason)
	if err != nil {
		return false, failed(err, "setting webhook %d aside", id)
	}
	return changed > 0, nil
}

// Resume has a webhook's deliveries tried again, those that wait at once.
func (ws *Webhooks) Resume(ctx context.Context, project, name string) error {
	err := ws.store.update(ctx, func(tx *sql.Tx) error {
		var id int64
		err := tx.QueryRowContext(ctx, `
			UPDATE webhooks SET set_aside_at = NULL, reason = '', failures = 0
			WHERE project = $1 AND name = $2 RETURNING id`, project, name).Scan(&id)
		if err != nil {
			return err
		}
		_, err = change(ctx, tx, "UPDATE deliveries SET next_at = 0, attempts = 0 WHERE webhook_id = $1 AND next_at IS NOT NULL", id)
		return err
	})
	if err != nil {
		return failed(err, "resuming webhook %s of project %s", name, project)
	}
	return nil
}

// tell has all webhooks hear of an event once the transaction is committed. Where the order
// matters, it comes after what makes transactions wait for one another: ids are in the order
// of what is told. It is due at once, whatever the clocks of other processes say.
func (s *store) tell(ctx context.Context, tx *sql.Tx, e Event) error {
	_, err := change(ctx, tx, `
		INSERT INTO deliveries (webhook_id, event, repository, tag, digest, actor, detail, at, next_at, delivered, attempts, status, took, message)
		SELECT w.id, $1, $3, $4, $5, $6, $7, $8, 0, FALSE, 0, 0, 0, '' FROM webhooks w
		WHERE w.project = $2 AND w.set_aside_at IS NULL AND (w.repository = '' OR w.repository = $3)
			AND ' ' || w.events || ' ' LIKE '% ' || $1 || ' %'`,
		e.Kind, e.Project, e.Repository, e.Tag, e.Digest, e.Actor, e.Detail, stamp{e.At})
	if err != nil {
		return fmt.Errorf("noting what webhooks hear of: %w", err)
	}
	return nil
}

// tellDeletion tells that a tag is gone, or without one the whole repository.
func (s *store) tellDeletion(ctx context.Context, tx *sql.Tx, repository, tag, actor string) error {
	return s.tell(ctx, tx, Event{
		Kind: EventDelete, Project: oci.Repository(repository).Project(), Repository: repository, Tag: tag, Actor: actor, At: s.now(),
	})
}

// WebhookCounts tells how all webhooks stand.
type WebhookCounts struct {
	Waiting  int64 // deliveries that are to be tried, of those that do not rest
	SetAside int64 // webhooks that rest
}

// Counts counts them.
func (ws *Webhooks) Counts(ctx context.Context) (WebhookCounts, error) {
	c, err := one(ctx, ws.store, func(r row) (c WebhookCounts, err error) {
		return c, r.Scan(&c.Waiting, &c.SetAside)
	}, `SELECT
		(SELECT COUNT(*) FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.next_at IS NOT NULL AND w.set_aside_at IS NULL),
		(SELECT COUNT(*) FROM webhooks WHERE set_aside_at IS NOT NULL)`)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return WebhookCounts{}, failed(err, "counting webhooks")
	}
	return c, nil
}

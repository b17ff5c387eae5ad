package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// lookEvery is how often it is looked for what is to be delivered.
	lookEvery = 500 * time.Millisecond
	// tidyEvery is how often old deliveries are deleted and the waiting ones counted.
	tidyEvery = time.Minute
	// slowAfter is how long a receiver may take to count as quick.
	slowAfter = 2 * time.Second
	// lookedAtOnce is how many webhooks are looked at in one round.
	lookedAtOnce = 200
	// MaxAttempts is how often a delivery is tried, with pauses from firstPause on that
	// double up to longestPause: about two hours in all.
	MaxAttempts  = 12
	firstPause   = 5 * time.Second
	longestPause = time.Hour
	// MostFailures is how many deliveries of a webhook are given up, one after the other,
	// before it is set aside.
	MostFailures = 3
	// MostWaiting is how many deliveries may wait for one webhook before it is set aside.
	MostWaiting = 10_000
	// KeepDeliveries is how long deliveries are kept.
	KeepDeliveries = 30 * 24 * time.Hour
	// MostKept is how many deliveries of each webhook are kept that do not wait.
	MostKept = 1000
)

// HookStore keeps webhooks and their deliveries.
type HookStore interface {
	DueWebhooks(ctx context.Context, now time.Time, limit int) ([]int64, error)
	Due(ctx context.Context, webhook int64, now time.Time, limit int) ([]metadata.Delivery, error)
	Delivered(ctx context.Context, d metadata.Delivery, a metadata.Attempt) error
	Postponed(ctx context.Context, d metadata.Delivery, a metadata.Attempt, until time.Time) error
	GivenUp(ctx context.Context, d metadata.Delivery, a metadata.Attempt) (inARow int, err error)
	SetAside(ctx context.Context, id int64, at time.Time, reason string) (first bool, err error)
	Overflowing(ctx context.Context, most int) ([]metadata.Webhook, error)
	Shorten(ctx context.Context, before time.Time, keep, limit int) (deleted int64, err error)
}

// Secrets opens the secrets that deliveries are signed by.
type Secrets interface {
	Open(project, name string, sealed []byte) (secret string, err error)
}

// Repositories tells what payloads say of a repository.
type Repositories interface {
	Get(ctx context.Context, name string) (metadata.Repository, error)
}

// Projects tells what payloads say of a project.
type Projects interface {
	Get(ctx context.Context, name string) (metadata.Project, error)
}

// HooksConfig is what Hooks stand on.
type HooksConfig struct {
	Store        HookStore
	Secrets      Secrets
	Repositories Repositories
	Projects     Projects
	// Public tells whether strangers may pull from a repository.
	Public func(ctx context.Context, repository string) (bool, error)
	// RepositoryURL is where a repository is described; "" when that is not known.
	RepositoryURL func(oci.Repository) string
	// Addresses are those that may be delivered to at this moment.
	Addresses func() Addresses
	UserAgent string
	// Record puts into the audit log that a webhook was set aside.
	Record  func(ctx context.Context, e Event)
	Metrics *HookMetrics
	Now     func() time.Time // nil: time.Now
	// Pause is how long a delivery waits after so many attempts; nil: from firstPause on.
	Pause func(attempts int) time.Duration
	Log   *slog.Logger
}

// Hooks delivers to webhooks what the database has noted for them: each delivery once or
// more, those of one repository one after the other. Of several processes on one database
// one does.
type Hooks struct {
	config HooksConfig
	sender *sender
	lanes  *lanes
	freed  chan struct{} // wakes the next round
	work   sync.WaitGroup
}

// NewHooks makes Hooks. Run delivers.
func NewHooks(c HooksConfig) *Hooks {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Pause == nil {
		c.Pause = pause
	}
	return &Hooks{
		config: c, sender: newSender(c.Addresses, c.UserAgent), lanes: newLanes(), freed: make(chan struct{}, 1),
	}
}

// pause spreads those that wait for one receiver: up to a quarter is chance.
func pause(attempts int) time.Duration {
	whole := min(firstPause<<min(attempts-1, MaxAttempts), longestPause)
	return whole - rand.N(whole/4) //nolint:gosec // spreading retries needs no secrecy
}

// Run delivers until ctx ends. What is under way then is broken off, and delivered again.
func (h *Hooks) Run(ctx context.Context) {
	defer h.work.Wait()
	look, tidy := time.NewTicker(lookEvery), time.NewTicker(tidyEvery)
	defer look.Stop()
	defer tidy.Stop()
	failing := false // so that the log hears of a failure once
	for {
		err := h.round(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			h.config.Log.Warn("what webhooks are to be told could not be read; it is tried again and again", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tidy.C:
			if err := h.tidy(ctx); err != nil && ctx.Err() == nil {
				h.config.Log.Warn("tidying the deliveries to webhooks", "error", err)
			}
		case <-look.C:
		case <-h.freed:
		}
	}
}

// round begins the deliveries that there is room for.
func (h *Hooks) round(ctx context.Context) error {
	now := h.config.Now()
	due, err := h.config.Store.DueWebhooks(ctx, now, lookedAtOnce)
	if err != nil {
		return err
	}
	for _, id := range due {
		room, busy := h.lanes.of(id)
		if room == 0 {
			continue
		}
		deliveries, err := h.config.Store.Due(ctx, id, now, room+len(busy))
		if err != nil {
			return err
		}
		for _, d := range deliveries {
			// One whose lane was busy may have arrived since it was read.
			if busy[d.Repository] || !h.lanes.take(d) {
				continue
			}
			h.work.Go(func() { h.deliver(ctx, d) })
		}
	}
	return nil
}

// deliver tries one delivery and notes what came of it.
func (h *Hooks) deliver(ctx context.Context, d metadata.Delivery) {
	began := time.Now()
	status, err := h.send(ctx, d)
	took := time.Since(began)
	if err == nil || ctx.Err() == nil { // else it was broken off, and is delivered again
		h.note(context.WithoutCancel(ctx), d, status, took, err)
	}
	h.lanes.leave(d, err != nil || took > slowAfter)
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

func (h *Hooks) send(ctx context.Context, d metadata.Delivery) (status int, err error) {
	secret, err := h.config.Secrets.Open(d.Project, d.Webhook.Name, d.Webhook.Sealed)
	if err != nil {
		h.config.Log.Error("the secret of a webhook cannot be read: set LARDER_CREDENTIAL_KEY or restore credential.key, or create the webhook again",
			"project", d.Project, "webhook", d.Webhook.Name, "error", err)
		return 0, errNoSecret
	}
	body, err := h.payload(ctx, d)
	if err != nil {
		h.config.Log.Warn("what a webhook is to be told could not be put together", "project", d.Project, "webhook", d.Webhook.Name, "error", err)
		return 0, errNoPayload
	}
	return h.sender.post(ctx, d, secret, body)
}

// What an attempt that was not made is told as; the log says more.
var (
	errNoSecret  = errors.New("the secret of the webhook cannot be read: the registry's administrator finds out why in its log")
	errNoPayload = errors.New("the registry could not read what is to be told: its administrator finds out why in its log")
)

// note writes what came of an attempt.
func (h *Hooks) note(ctx context.Context, d metadata.Delivery, status int, took time.Duration, failure error) {
	ctx, cancel := context.WithTimeout(ctx, recordLimit)
	defer cancel()
	attempt := metadata.Attempt{Attempts: d.Attempts + 1, AttemptedAt: h.config.Now(), Status: status, Took: took}
	outcome, inARow := outcomeDelivered, 0
	var err error
	switch {
	case failure == nil:
		err = h.config.Store.Delivered(ctx, d, attempt)
	case attempt.Attempts < MaxAttempts:
		attempt.Message, outcome = clean(failure.Error()), outcomeFailed
		err = h.config.Store.Postponed(ctx, d, attempt, attempt.AttemptedAt.Add(h.config.Pause(attempt.Attempts)))
	default:
		attempt.Message, outcome = clean(failure.Error()), outcomeGivenUp
		inARow, err = h.config.Store.GivenUp(ctx, d, attempt)
	}
	h.config.Metrics.attempted(d.Kind, outcome, took)
	if err == nil && inARow >= MostFailures {
		err = h.setAside(ctx, d.Webhook, fmt.Sprintf("%d deliveries one after the other were given up, each after %d attempts; the last because %s", inARow, MaxAttempts, attempt.Message))
	}
	if err != nil && !errors.Is(err, metadata.ErrNotFound) { // the webhook may have been deleted
		h.config.Log.Warn("what came of a delivery to a webhook was not noted: it is delivered again", "project", d.Project, "webhook", d.Webhook.Name, "error", err)
	}
}

// setAside lets a webhook rest, and says so.
func (h *Hooks) setAside(ctx context.Context, w metadata.Webhook, why string) error {
	first, err := h.config.Store.SetAside(ctx, w.ID, h.config.Now(), why)
	if err != nil || !first {
		return err
	}
	h.config.Log.Warn("a webhook is set aside: nothing is delivered to it until it is resumed", "project", w.Project, "webhook", w.Name, "because", why)
	h.config.Record(ctx, Event{
		Actor: oci.UserSelf, Action: "set-aside-webhook", Project: w.Project, Object: w.Project + "/webhooks/" + w.Name, Result: Done, Detail: why,
	})
	return nil
}

// tidy deletes old deliveries, and sets aside the webhooks that too many wait for.
func (h *Hooks) tidy(ctx context.Context) error {
	all, err := h.config.Store.Overflowing(ctx, MostWaiting)
	if err != nil {
		return err
	}
	for _, w := range all {
		if err := h.setAside(ctx, w, fmt.Sprintf("%d deliveries wait for it, and there may be %d", w.Waiting, MostWaiting)); err != nil {
			return err
		}
	}
	for {
		deleted, err := h.config.Store.Shorten(ctx, h.config.Now().Add(-KeepDeliveries), MostKept, deletedAtOnce)
		if err != nil || deleted < deletedAtOnce {
			return err
		}
	}
}

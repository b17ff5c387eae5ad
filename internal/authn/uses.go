package authn

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// usesEvery is how often it is written when access tokens were last used.
	usesEvery = time.Minute
	// maxUses is how many tokens' uses are gathered between two writes; those of others
	// are not noted then.
	maxUses = 10_000
	// lastUses bounds the writing at the end, when the database may be gone.
	lastUses = 10 * time.Second
)

// uses gathers in memory when access tokens were last used.
type uses struct {
	mu       sync.Mutex
	gathered map[string]time.Time
}

func newUses() *uses { return &uses{gathered: map[string]time.Time{}} }

func (u *uses) note(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	last, known := u.gathered[id]
	if known && !at.After(last) || !known && len(u.gathered) >= maxUses {
		return
	}
	u.gathered[id] = at
}

// take returns what was gathered and begins anew.
func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	gathered := u.gathered
	u.gathered = make(map[string]time.Time, len(gathered))
	return gathered
}

// Run writes every minute when access tokens were last used, until ctx ends, and then
// once more. No request waits for it.
func (a *Authenticator) Run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			if err := a.writeUses(ctx); err != nil && ctx.Err() == nil {
				log.Warn("the last uses of access tokens could not be written and are tried again in a minute", "error", err)
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastUses)
	defer cancel()
	if err := a.writeUses(last); err != nil {
		log.Warn("the last uses of access tokens are lost", "error", err)
	}
}

// writeUses writes what was gathered. What could not be written is gathered again.
func (a *Authenticator) writeUses(ctx context.Context) error {
	gathered := a.uses.take()
	if len(gathered) == 0 {
		return nil
	}
	err := a.tokens.Used(ctx, gathered)
	if err != nil {
		for id, at := range gathered {
			a.uses.note(id, at)
		}
	}
	return err
}

package events

import (
	"sync"

	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// mostSending is how many deliveries are under way at once, mostOfOne how many of them
	// go to one webhook. Of those to webhooks that failed or were slow last there are
	// mostSlow at once, and one to each.
	mostSending = 48
	mostOfOne   = 4
	mostSlow    = 16
	// mostKnown is how many webhooks are known to be slow.
	mostKnown = 10_000
)

// lanes are what deliveries go through one after the other: one for each repository and
// webhook. Receivers that are slow cannot take the room of those that are not.
type lanes struct {
	mu   sync.Mutex
	busy map[int64]map[string]bool // the repositories of each webhook; true: it counts as slow
	slow map[int64]bool            // webhooks that failed or were slow last
	all  int                       // deliveries under way
	late int                       // those of them that count as slow
}

func newLanes() *lanes {
	return &lanes{busy: map[int64]map[string]bool{}, slow: map[int64]bool{}}
}

// of tells how many deliveries to a webhook may begin, and of which repositories one is
// under way.
func (l *lanes) of(webhook int64) (room int, busy map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy = map[string]bool{}
	for repository := range l.busy[webhook] {
		busy[repository] = true
	}
	return l.room(webhook), busy
}

func (l *lanes) room(webhook int64) int {
	room := min(mostOfOne-len(l.busy[webhook]), mostSending-l.all)
	if l.slow[webhook] {
		room = min(room, 1-len(l.busy[webhook]), mostSlow-l.late)
	}
	return max(room, 0)
}

// take begins a delivery unless there is no room for it.
func (l *lanes) take(d metadata.Delivery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := d.Webhook.ID
	if _, busy := l.busy[id][d.Repository]; busy || l.room(id) == 0 {
		return false
	}
	if l.busy[id] == nil {
		l.busy[id] = map[string]bool{}
	}
	l.busy[id][d.Repository] = l.slow[id]
	l.all++
	if l.slow[id] {
		l.late++
	}
	return true
}

// leave ends a delivery, and remembers whether it failed or was slow.
func (l *lanes) leave(d metadata.Delivery, slow bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := d.Webhook.ID
	l.all--
	if l.busy[id][d.Repository] {
		l.late--
	}
	delete(l.busy[id], d.Repository)
	if len(l.busy[id]) == 0 {
		delete(l.busy, id)
	}
	if slow {
		if len(l.slow) >= mostKnown {
			clear(l.slow)
		}
		l.slow[id] = true
	} else {
		delete(l.slow, id)
	}
}

package upstream

import (
	"context"
	"sync"
	"time"
)

// maxTokens bounds how many tokens are kept.
const maxTokens = 4096

// tokenKey is what a token was given for, and to whom.
type tokenKey struct {
	realm, service, scope string
	account               *account
}

type token struct {
	value   string
	expires time.Time // when it is no longer used, shortly before it ends
}

// tokens keeps tokens until shortly before they expire, the most recently used ones.
// One request for a token serves all who wait for it, and goes on for the others when
// one of them leaves.
type tokens struct {
	now   func() time.Time
	fetch func(context.Context, tokenKey, query) (token, error)
	life  context.Context // of the requests
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu      sync.Mutex
	kept    map[tokenKey]*keptToken
	uses    int64 // counts up, to order kept tokens by their last use
	flights map[tokenKey]*flight
}

type keptToken struct {
	token
	used int64
}

// flight is a request for a token that is under way.
type flight struct {
	done  chan struct{} // closed when token and err are set
	token token
	err   error
}

func newTokens(now func() time.Time, fetch func(context.Context, tokenKey, query) (token, error)) *tokens {
	life, stop := context.WithCancel(context.Background())
	return &tokens{
		now: now, fetch: fetch, life: life, stop: stop,
		kept: map[tokenKey]*keptToken{}, flights: map[tokenKey]*flight{},
	}
}

// close cancels the requests under way and waits for them; no other begins then.
func (t *tokens) close() {
	t.mu.Lock()
	t.stop()
	t.mu.Unlock()
	t.work.Wait()
}

// get finds or fetches a token for a query, whose caller pays for it. Kept is true when
// it was there before.
func (t *tokens) get(ctx context.Context, key tokenKey, q query) (value string, kept bool, err error) {
	value, running, err := t.find(key, q)
	if running == nil {
		return value, err == nil, err
	}
	select {
	case <-running.done:
		return running.token.value, false, running.err
	case <-ctx.Done():
		return "", false, context.Cause(ctx)
	}
}

// find returns a kept token, or else the request for one, which it starts if needed.
func (t *tokens) find(key tokenKey, q query) (string, *flight, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.kept[key]; ok && found.expires.After(t.now()) {
		t.uses++
		found.used = t.uses
		return found.value, nil, nil
	}
	if running, ok := t.flights[key]; ok {
		return "", running, nil
	}
	if t.life.Err() != nil {
		return "", nil, context.Cause(t.life)
	}
	started := &flight{done: make(chan struct{})}
	t.flights[key] = started
	t.work.Go(func() { t.fly(key, q, started) })
	return "", started, nil
}

func (t *tokens) fly(key tokenKey, q query, f *flight) {
	f.token, f.err = t.fetch(t.life, key, q)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.flights, key)
	delete(t.kept, key)
	if f.err == nil {
		t.keep(key, f.token)
	}
	close(f.done)
}

// keep makes room first. Looking through all tokens for the least recently used one is
// rare, and quick beside the request that it follows.
func (t *tokens) keep(key tokenKey, fresh token) {
	if len(t.kept) >= maxTokens {
		var oldest tokenKey
		least := t.uses + 1
		for k, kept := range t.kept {
			if kept.used < least {
				oldest, least = k, kept.used
			}
		}
		delete(t.kept, oldest)
	}
	t.uses++
	t.kept[key] = &keptToken{token: fresh, used: t.uses}
}

// drop forgets a token that was rejected, unless it has been renewed meanwhile.
func (t *tokens) drop(key tokenKey, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found, ok := t.kept[key]; ok && found.value == value {
		delete(t.kept, key)
	}
}

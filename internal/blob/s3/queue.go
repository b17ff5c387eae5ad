package s3

import (
	"context"
	"sync"
)

// queue sends pieces one after the other while their writer goes on. All its
// methods are called by that one writer.
type queue struct {
	multipart *multipart // the goroutine's while one runs
	mu        sync.Mutex
	pending   []piece
	held      bool               // what is added waits
	err       error              // why the goroutine ended with pieces pending
	running   chan struct{}      // closed when the goroutine has ended; nil when there is none
	cancel    context.CancelFunc // ends it
}

// add appends a piece and sees to it that a goroutine sends, unless pieces are held. It
// ends with the pieces, with the first error, and with the context.
func (q *queue) add(ctx context.Context, p piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = append(q.pending, p)
	q.begin(ctx)
}

// hold lets what is added from now on wait until hold is called with false, or flush.
func (q *queue) hold(ctx context.Context, held bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = held
	q.begin(ctx)
}

// begin starts the goroutine when there is something for it to do. The lock is held.
func (q *queue) begin(ctx context.Context) {
	if q.held || q.running != nil || len(q.pending) == 0 {
		return
	}
	ctx, q.cancel = context.WithCancel(ctx)
	q.running, q.err = make(chan struct{}), nil
	go q.run(ctx)
}

func (q *queue) run(ctx context.Context) {
	for {
		err := q.multipart.send(ctx, q.head())
		if q.sent(err) {
			return
		}
	}
}

func (q *queue) head() piece {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pending[0]
}

// sent books how sending the first piece went, and says whether that was the end.
func (q *queue) sent(err error) (ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		q.drop(1)
	}
	if err == nil && len(q.pending) > 0 {
		return false
	}
	q.cancel()
	running := q.running
	q.running, q.err = nil, err
	close(running) // last: the writer then reads without the lock
	return true
}

// drop releases the first n pieces. The lock is held, or no goroutine runs.
func (q *queue) drop(n int) {
	for _, p := range q.pending[:n] {
		if p.release != nil {
			p.release()
		}
	}
	q.pending = q.pending[n:]
}

// wait waits for the goroutine, which is ended when the context is done first,
// and returns why pieces are left, if any are.
func (q *queue) wait(ctx context.Context) error {
	q.mu.Lock()
	running, cancel := q.running, q.cancel
	q.mu.Unlock()
	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			cancel()
			<-running
		}
	}
	if len(q.pending) == 0 {
		return nil
	}
	return q.err
}

// flush sends what is left, also what could not be sent before or was held.
func (q *queue) flush(ctx context.Context) error {
	_ = q.wait(ctx) // what it could not send is tried again
	for len(q.pending) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := q.multipart.send(ctx, q.pending[0]); err != nil {
			return err
		}
		q.drop(1)
	}
	return nil
}

// stop ends the goroutine and forgets what is left.
func (q *queue) stop() {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_ = q.wait(done) // what is left is not wanted any more
	q.drop(len(q.pending))
}

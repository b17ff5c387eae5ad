// Package batch gathers small things and writes many of them at once, so that whoever
// hands one over waits for no storage.
package batch

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// lastWrite bounds the writing at the end, when the storage may be gone.
const lastWrite = 10 * time.Second

// Config says what a Writer gathers, and for how long.
type Config[T any] struct {
	// What names the things in the log, as in "calls".
	What string
	// Write stores some, all or none of them.
	Write func(ctx context.Context, some []T) error
	// Every is how often they are written. A crash loses those since.
	Every time.Duration
	// Most is how many may wait, AtOnce how many one Write gets.
	Most, AtOnce int
	// Dropped is told when things are dropped, since too many wait; nil: nobody is.
	Dropped func(count int)
	Log     *slog.Logger
}

// Writer gathers things and writes them. It is safe for concurrent use.
type Writer[T any] struct {
	config Config[T]

	mu      sync.Mutex
	waiting []T

	writing sync.Mutex // held by who writes
	failing bool       // the last write failed: the log has heard of it
}

// New makes a Writer; nothing is written unless Run runs, or Flush or Close is called.
func New[T any](c Config[T]) *Writer[T] { return &Writer[T]{config: c} }

// Put hands something over. It is false when too many wait already: then it is dropped.
func (w *Writer[T]) Put(one T) bool {
	w.mu.Lock()
	full := len(w.waiting) >= w.config.Most
	if !full {
		w.waiting = append(w.waiting, one)
	}
	w.mu.Unlock()
	if full {
		w.drop(1)
	}
	return !full
}

// Run writes what was handed over until ctx ends. What comes after that waits for Close.
func (w *Writer[T]) Run(ctx context.Context) {
	tick := time.NewTicker(w.config.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.tell(ctx, w.Flush(ctx))
	}
}

// tell lets the log hear of a failure once, until it is over.
func (w *Writer[T]) tell(ctx context.Context, err error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil && !w.failing {
		w.config.Log.Warn(w.config.What+" could not be written; it is tried again and again", "error", err)
	}
	w.failing = err != nil
}

// Flush writes what was handed over before, and returns when it is stored. What could not
// be written waits for the next time.
func (w *Writer[T]) Flush(ctx context.Context) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	rest := w.take()
	for len(rest) > 0 {
		some := rest[:min(w.config.AtOnce, len(rest))]
		if err := w.config.Write(ctx, some); err != nil {
			w.putBack(rest)
			return err
		}
		rest = rest[len(some):]
	}
	return nil
}

// Close writes what is left, for 10 seconds at most.
func (w *Writer[T]) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWrite)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		w.config.Log.Warn(w.config.What+" of the last seconds are lost", "error", err)
	}
}

func (w *Writer[T]) take() []T {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.waiting
	w.waiting = nil
	return all
}

// putBack puts what was not written before what has come since; the newest is dropped
// where there is too much of it.
func (w *Writer[T]) putBack(rest []T) {
	w.mu.Lock()
	all := append(rest[:len(rest):len(rest)], w.waiting...)
	over := max(0, len(all)-w.config.Most)
	w.waiting = all[:len(all)-over]
	w.mu.Unlock()
	w.drop(over)
}

func (w *Writer[T]) drop(count int) {
	if count > 0 && w.config.Dropped != nil {
		w.config.Dropped(count)
	}
}

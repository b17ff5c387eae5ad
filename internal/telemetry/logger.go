package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	logFlushSize     = 64 << 10 // bytes
	logFlushInterval = time.Second
	// maxLogBacklog is how many bytes wait for somebody who has stopped reading the log. What
	// comes then is lost: to wait for them would stop everything that logs.
	maxLogBacklog = 4 << 20
	// urgentPatience is how long a warning or an error waits until it is written, since the
	// process may be about to end, and endPatience how long the end waits.
	urgentPatience = 100 * time.Millisecond
	endPatience    = 5 * time.Second
)

// NewLogger makes a logger that writes lines as JSON, or as text for any format but "json".
// Lines go to w every second, when there are 64 KiB of them, and at once with a warning or
// an error. Where w takes nothing, nobody who logs waits for longer than 100 ms: up to 4 MiB
// of lines are kept for it beside those that it has begun to take, and once it goes on, a
// line tells how many more were lost.
//
// The caller calls flush once at its end: it writes what is left, for which it waits at most
// 5 s. A line logged after it goes to w directly, however long that takes, or is lost where
// flush has given up.
func NewLogger(w io.Writer, level slog.Leveler, format string) (log *slog.Logger, flush func()) {
	out := &logBuffer{
		out: w, written: make(chan struct{}),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if format == "json" {
		handler = slog.NewJSONHandler(out, options)
	}
	go out.run(slog.New(handler))
	return slog.New(&urgentHandler{handler, out}), out.close
}

// logBuffer keeps lines until its goroutine has written them. A line that w refuses is lost:
// there is no place left to tell it.
type logBuffer struct {
	out   io.Writer
	wake  chan struct{} // has the lines written before the second is over
	stop  chan struct{}
	once  sync.Once     // closes stop
	ended chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	lines   []byte
	spare   []byte        // what lines become next
	lost    int           // lines that found no room
	written chan struct{} // closed when what is in lines was written
	stalled bool          // somebody has waited for that in vain
	direct  bool          // the goroutine writes no more
}

// Write keeps lines whole: slog writes one at a time.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.direct:
		return b.out.Write(line)
	case len(b.lines)+len(line) > maxLogBacklog:
		b.lost++
		return len(line), nil
	}
	b.lines = append(b.lines, line...)
	if len(b.lines) >= logFlushSize {
		b.wakeUp()
	}
	return len(line), nil
}

func (b *logBuffer) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default: // it is about to wake up
	}
}

// flush has the lines written now and waits for it, unless nobody reads them.
func (b *logBuffer) flush() {
	b.mu.Lock()
	written, stalled := b.written, b.stalled
	b.mu.Unlock()
	b.wakeUp()
	if stalled {
		return
	}
	late := time.NewTimer(urgentPatience)
	defer late.Stop()
	select {
	case <-written:
	case <-b.ended:
	case <-late.C:
		b.mu.Lock()
		defer b.mu.Unlock()
		select {
		case <-written: // at the last moment
		default:
			b.stalled = true
		}
	}
}

// run writes lines until stop is closed. Of those that were lost it tells in log, which
// writes into b and does not wait for it: run would wait for itself.
func (b *logBuffer) run(log *slog.Logger) {
	defer close(b.ended)
	ticker := time.NewTicker(logFlushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.write(log)
		case <-b.wake:
			b.write(log)
		case <-b.stop:
			for !b.emptied() {
				b.write(log)
			}
			return
		}
	}
}

// emptied tells whether nothing is left to write, and what comes then is written directly.
func (b *logBuffer) emptied() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.direct = len(b.lines) == 0 && b.lost == 0
	return b.direct
}

// write writes what is there, while more may come.
func (b *logBuffer) write(log *slog.Logger) {
	b.mu.Lock()
	lines, lost, written := b.lines, b.lost, b.written
	b.lines, b.spare, b.lost, b.written = b.spare[:0], nil, 0, make(chan struct{})
	b.mu.Unlock()
	if len(lines) > 0 {
		_, _ = b.out.Write(lines)
	}
	b.mu.Lock()
	b.stalled = false
	if cap(lines) <= 2*logFlushSize { // the room of a backlog is not kept
		b.spare = lines
	}
	close(written)
	b.mu.Unlock()
	if lost > 0 {
		log.Warn("lines of the log were lost, since nobody read it for a while", "lines", lost)
	}
}

func (b *logBuffer) close() {
	b.once.Do(func() { close(b.stop) })
	select {
	case <-b.ended:
	case <-time.After(endPatience):
	}
}

// urgentHandler flushes the buffer after each warning and error.
type urgentHandler struct {
	slog.Handler
	out *logBuffer
}

func (h *urgentHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.out.flush()
	}
	return err
}

func (h *urgentHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &urgentHandler{h.Handler.WithAttrs(attrs), h.out}
}

func (h *urgentHandler) WithGroup(name string) slog.Handler {
	return &urgentHandler{h.Handler.WithGroup(name), h.out}
}

package telemetry

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	logBufferSize    = 64 << 10 // bytes
	logFlushInterval = time.Second
)

// NewLogger makes a logger that writes lines as JSON, or as text for any format
// but "json". Lines gather in a buffer of 64 KiB, which goes to w every second,
// and at once with a warning or an error. The caller calls flush once at its
// end: it stops the timer and writes what is left. A line logged after it goes to
// w directly.
func NewLogger(w io.Writer, level slog.Leveler, format string) (log *slog.Logger, flush func()) {
	out := &logBuffer{out: w, lines: make([]byte, 0, logBufferSize), stop: make(chan struct{})}
	out.running.Go(out.flushInTime)
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if format == "json" {
		handler = slog.NewJSONHandler(out, options)
	}
	return slog.New(&urgentHandler{handler, out}), out.close
}

// logBuffer keeps lines until somebody flushes them. A line that w refuses is
// lost: there is no place left to tell it.
type logBuffer struct {
	out     io.Writer
	mu      sync.Mutex
	lines   []byte
	direct  bool // nothing flushes any more
	once    sync.Once
	stop    chan struct{}
	running sync.WaitGroup
}

// Write keeps lines whole: slog writes one at a time.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines)+len(line) > cap(b.lines) {
		b.flushLocked()
	}
	if b.direct || len(line) > cap(b.lines) {
		return b.out.Write(line)
	}
	b.lines = append(b.lines, line...)
	return len(line), nil
}

func (b *logBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
}

func (b *logBuffer) flushLocked() {
	if len(b.lines) == 0 {
		return
	}
	_, _ = b.out.Write(b.lines)
	b.lines = b.lines[:0]
}

func (b *logBuffer) flushInTime() {
	ticker := time.NewTicker(logFlushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.flush()
		case <-b.stop:
			return
		}
	}
}

func (b *logBuffer) close() {
	b.once.Do(func() { close(b.stop) })
	b.running.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.direct = true
	b.flushLocked()
}

// urgentHandler flushes the buffer after each warning and error: the process may
// be about to end.
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

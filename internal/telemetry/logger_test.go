package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sharedBuffer may be read while the logger writes to it.
type sharedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestLinesAreWrittenEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sharedBuffer
		log, flush := NewLogger(&out, slog.LevelInfo, "text")
		defer flush()
		time.Sleep(100 * time.Millisecond)
		log.Info("first")
		log.Info("second")
		synctest.Wait()
		if got := out.String(); got != "" {
			t.Errorf("written at once: %s", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := strings.Count(out.String(), "\n"); got != 2 {
			t.Errorf("%d lines after a second, want 2: %s", got, out.String())
		}
	})
}

func TestWarningsAndErrorsAreWrittenAtOnceWithWhatWasBeforeThem(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelError} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			log, flush := NewLogger(&out, slog.LevelInfo, "text")
			defer flush()
			began := time.Now()
			log.Info("before")
			log.With("a", 1).WithGroup("g").Log(t.Context(), level, "urgent", "b", 2)
			if got := out.String(); !strings.Contains(got, "msg=before\n") || !strings.Contains(got, "msg=urgent a=1 g.b=2\n") || !time.Now().Equal(began) {
				t.Errorf("%s: written after %s: %q", level, time.Since(began), got)
			}
		})
	}
}

func TestNothingIsLostAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, flush := NewLogger(&out, slog.LevelInfo, "json")
		log.Info("in the buffer")
		flush()
		log.Info("after the end")
		var messages []string
		for line := range strings.Lines(out.String()) {
			var entry struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%q is no JSON: %v", line, err)
			}
			messages = append(messages, entry.Msg)
		}
		if got := strings.Join(messages, ", "); got != "in the buffer, after the end" {
			t.Errorf("messages are %s", got)
		}
		flush() // a second call does no harm
		// synctest fails the test if the goroutine that writes is still there.
	})
}

// lineWriter fails on parts of lines.
type lineWriter struct {
	t     *testing.T
	lines int
}

func (w *lineWriter) Write(p []byte) (int, error) {
	if !bytes.HasSuffix(p, []byte("\n")) {
		w.t.Errorf("a write ends amid a line: ...%q", p[max(0, len(p)-20):])
	}
	w.lines += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func TestLinesStayWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &lineWriter{t: t}
		log, flush := NewLogger(out, slog.LevelInfo, "text")
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				for i := range 500 {
					log.Info("line", "text", strings.Repeat("x", i))
				}
			})
		}
		writers.Wait()
		log.Info("longer than what is written at once", "text", strings.Repeat("x", 2*logFlushSize))
		flush()
		if out.lines != 2001 {
			t.Errorf("%d lines, want 2001", out.lines)
		}
	})
}

// stoppedReader takes what is written only while it may go on.
type stoppedReader struct {
	sharedBuffer
	mayGoOn chan struct{}
}

func (r *stoppedReader) Write(p []byte) (int, error) {
	<-r.mayGoOn
	return r.sharedBuffer.Write(p)
}

func TestNobodyWaitsForALogThatIsNotRead(t *testing.T) {
	const half = maxLogBacklog / 2
	synctest.Test(t, func(t *testing.T) {
		reader := &stoppedReader{mayGoOn: make(chan struct{})}
		log, flush := NewLogger(reader, slog.LevelInfo, "text")
		began := time.Now()
		for range 5 {
			log.Error("not read")
		}
		log.Info("kept", "text", strings.Repeat("x", half))
		log.Info("finds no room", "text", strings.Repeat("x", half))
		log.Info("finds no room", "text", strings.Repeat("x", half))
		if took := time.Since(began); took > urgentPatience {
			t.Errorf("logging took %s", took)
		}
		close(reader.mayGoOn)
		synctest.Wait()
		log.Warn("read again")
		flush()
		got := reader.String()
		for text, times := range map[string]int{"not read": 5, "kept": 1, "finds no room": 0, "lost, since nobody read it for a while\" lines=2": 1, "read again": 1} {
			if strings.Count(got, text) != times {
				t.Errorf("%q was written %d times, want %d", text, strings.Count(got, text), times)
			}
		}
	})
}

func TestTheEndDoesNotWaitForALogThatIsNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &stoppedReader{mayGoOn: make(chan struct{})}
		log, flush := NewLogger(reader, slog.LevelInfo, "text")
		log.Info("never read")
		began := time.Now()
		flush()
		if took := time.Since(began); took > endPatience {
			t.Errorf("the end took %s", took)
		}
		close(reader.mayGoOn) // or synctest would find the goroutine
	})
}

// flakyWriter fails until it is mended.
type flakyWriter struct {
	bytes.Buffer
	mended bool
}

func (w *flakyWriter) Write(p []byte) (int, error) {
	if !w.mended {
		return 0, errors.New("no space left on device")
	}
	return w.Buffer.Write(p)
}

func TestLoggingGoesOnAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &flakyWriter{}
		log, flush := NewLogger(out, slog.LevelInfo, "text")
		log.Error("lost")
		out.mended = true
		log.Error("kept")
		flush()
		if got := out.String(); strings.Contains(got, "lost") || !strings.Contains(got, "kept") {
			t.Errorf("written: %q", got)
		}
	})
}

func TestTheLevelCanChangeWhileLogging(t *testing.T) {
	var level slog.LevelVar
	log, flush := NewLogger(io.Discard, &level, "text")
	defer flush()
	if log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is on at level info")
	}
	level.Set(slog.LevelDebug)
	if !log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is off at level debug")
	}
}

package api

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// linesType is JSON, one value on each line.
	linesType = "application/jsonl"
	// linesPause is after how long what was written is sent, and when nothing was, that
	// the work goes on.
	linesPause = 5 * time.Second
	// linesStall is how long a client may take nothing.
	linesStall = time.Minute
)

// lines is an answer that grows while the work goes on, line by line.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	idle    any // the line that says that the work goes on
	stop    chan struct{}
	ticking sync.WaitGroup

	mu      sync.Mutex
	begun   bool
	written int // lines since the last sending
	err     error
}

// newLines begins an answer; end has to be called.
func newLines(w http.ResponseWriter, idle any) *lines {
	l := &lines{w: w, control: http.NewResponseController(w), idle: idle, stop: make(chan struct{})}
	l.ticking.Go(l.tick)
	return l
}

func (l *lines) tick() {
	tick := time.NewTicker(linesPause)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.send()
		}
	}
}

// write adds a line. The error says that the client takes none any more.
func (l *lines) write(line any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(line)
}

func (l *lines) add(line any) error {
	if l.err != nil {
		return l.err
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", linesType)
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(linesStall)) // a writer without deadlines, as in tests, has no stall either
	l.err = json.NewEncoder(l.w).Encode(line)
	l.written++
	return l.err
}

func (l *lines) send() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written == 0 && l.add(l.idle) != nil {
		return
	}
	l.written = 0
	_ = l.control.Flush() // an error comes with the next line
}

// fail ends the answer with an error: as a line, or as the whole answer when there was
// no line before.
func (l *lines) fail(p *huma.ErrorModel, line any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun {
		_ = l.add(line) // whoever has gone needs none
		return
	}
	l.begun = true
	writeProblem(l.w, p)
}

// end stops the sending; nothing may be written after it.
func (l *lines) end() {
	close(l.stop)
	l.ticking.Wait()
}

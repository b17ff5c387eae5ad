package e2e_test

import (
	"bytes"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	// maxShown bounds what a failed test shows of a daemon's output, in bytes.
	maxShown = 8 << 10
)

// daemon is a program that runs until it is stopped.
type daemon struct {
	*process
	t      *testing.T
	output *output
	stop   func() error
}

// startDaemon starts a daemon that is stopped when the test ends.
func startDaemon(p *program, args ...string) *daemon {
	p.t.Helper()
	d := &daemon{t: p.t, output: newOutput()}
	cmd := p.command(args...)
	cmd.Stdout, cmd.Stderr = d.output, d.output
	var err error
	if d.process, err = start(cmd); err != nil {
		p.t.Fatalf("starting %s: %v", p.path, err)
	}
	d.stop = sync.OnceValue(d.terminate)
	p.t.Cleanup(func() {
		_ = d.stop() // tests that care for the exit status stop it themselves
		if p.t.Failed() {
			p.t.Logf("the end of what %s printed:\n%s", p.path, d.output.end())
		}
	})
	return d
}

// terminate asks the process group to end, and ends it when it does not. The error is
// that of a process that ended otherwise than with exit status 0.
func (d *daemon) terminate() error {
	_ = d.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-d.ended:
	case <-time.After(stopTimeout):
		d.t.Errorf("process %d did not end within %s of SIGTERM", d.Process.Pid, stopTimeout)
	}
	d.signalGroup(syscall.SIGKILL)
	<-d.ended
	return d.err
}

// await returns the submatches of the first line printed that matches.
func (d *daemon) await(pattern string) []string {
	d.t.Helper()
	line := regexp.MustCompile(pattern)
	deadline := time.After(readyTimeout)
	for {
		grown := d.output.grown()
		if found := line.FindStringSubmatch(d.output.String()); found != nil {
			return found
		}
		select {
		case <-grown:
		case <-d.ended:
			d.t.Fatalf("the process ended (%v) without printing %q:\n%s", d.err, pattern, d.output)
		case <-deadline:
			d.t.Fatalf("%q was not printed within %s:\n%s", pattern, readyTimeout, d.output)
		}
	}
}

// output is what a daemon printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed when there is more
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.more)
	o.more = make(chan struct{})
	return o.text.Write(p)
}

// grown is closed at the next Write.
func (o *output) grown() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.more
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// end is the part of the output that a failed test shows.
func (o *output) end() string {
	text := o.String()
	return text[max(0, len(text)-maxShown):]
}

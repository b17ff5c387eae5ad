package main

import (
	"bytes"
	"errors"
	"io"
	"os/signal"
	"syscall"
	"time"
)

// outliveReaders lets the program go on when nobody reads what it writes to standard output
// and error any more, as when what gathers logs starts anew.
func outliveReaders() { signal.Ignore(syscall.SIGPIPE) }

// readerPatience is how long a patient writer waits.
const readerPatience = 5 * time.Second

var errNotRead = errors.New("nobody reads it")

// patient is a writer that gives up where nobody takes what is written for 5 s: a server must
// neither start nor end later for that. What it gave up on may be taken yet.
type patient struct{ io.Writer }

func (p patient) Write(text []byte) (int, error) {
	kept := bytes.Clone(text) // the caller's again once this returns
	taken := make(chan error, 1)
	go func() {
		_, err := p.Writer.Write(kept)
		taken <- err
	}()
	late := time.NewTimer(readerPatience)
	defer late.Stop()
	select {
	case err := <-taken:
		return len(text), err
	case <-late.C:
		return 0, errNotRead
	}
}

package chaos_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

const (
	// logged is how many requests are told in a log: more than a pipe holds, and less than
	// the program keeps.
	logged = 1000
	// loggedLimit is when all of them have been answered.
	loggedLimit = 5 * time.Minute
	loggedPath  = "/v2/docker-hub/library/app/manifests/latest"
)

func TestALogThatNobodyReadsStopsNothing(t *testing.T) {
	t.Parallel()
	s, log, stderr := newUnread(t)
	leaveNoRoom(t, stderr)
	s.listens(stderr)
	s.answersAll()
	read := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(log)
		read <- string(all)
	}()
	s.stop()
	text := <-read
	if got := strings.Count(text, "msg=request method=GET path="+loggedPath); got != logged {
		t.Errorf("%d requests are in the log once it is read, want all of %d", got, logged)
	}
	if strings.Contains(text, "panic:") {
		t.Errorf("larder panicked:\n%s", text)
	}
}

func TestALogWhoseReaderHasEndedStopsNothing(t *testing.T) {
	t.Parallel()
	s, log, stderr := newUnread(t)
	_ = log.Close()
	s.listens(stderr)
	s.answersAll()
	s.stop()
}

// newUnread prepares a server, and a pipe for its log.
func newUnread(t *testing.T) (s *server, log, stderr *os.File) {
	t.Helper()
	hub := newHub(t, hubsim.Options{})
	hub.AddImage("library/app", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{1 << 10}})
	s = newServer(t, t.TempDir(), hub)
	address := testkit.NewAddress(t)
	s.args, s.url = append(s.args, "--listen", address, "--log-level", "info"), "http://"+address
	log, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = log.Close() // again, perhaps
		_ = stderr.Close()
	})
	return s, log, stderr
}

// leaveNoRoom writes to a pipe until it is full.
func leaveNoRoom(t *testing.T, pipe *os.File) {
	t.Helper()
	if err := pipe.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for {
		if _, err := pipe.Write(line); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// listens starts the process with a standard error that nobody reads, and waits until it
// answers.
func (s *server) listens(stderr *os.File) {
	s.t.Helper()
	s.launchTo(stderr)
	_ = stderr.Close()
	until(s.t, "larder listens", func() bool {
		s.alive()
		resp, err := http.Get(s.url + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
}

// answersAll has the server answer as many requests as its log is to tell of.
func (s *server) answersAll() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), loggedLimit)
	defer cancel()
	c := newClient(s.t, s.url)
	for i := range logged {
		a, err := c.do(ctx, request{method: http.MethodGet, path: loggedPath})
		if err != nil || a.status != http.StatusOK {
			s.t.Fatalf("request %d of %d: %d, %v", i, logged, a.status, err)
		}
	}
}

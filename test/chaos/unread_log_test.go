package chaos_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

const (
	// logged is how many requests are told in a log: more than a pipe holds, and less than
	// the program keeps.
	logged = 2000
	// loggedLimit is when all of them have been answered.
	loggedLimit = time.Minute
	loggedPath  = "/v2/docker-hub/library/app/manifests/latest"
)

func TestALogThatNobodyReadsStopsNoPull(t *testing.T) {
	t.Parallel()
	s, log := startUnread(t)
	s.answersAll()
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(log)
		read <- string(all)
	}()
	s.stop()
	if got := strings.Count(<-read, "msg=request method=GET path="+loggedPath); got != logged {
		t.Errorf("%d requests are in the log once it is read, want all of %d", got, logged)
	}
}

func TestALogWhoseReaderHasEndedStopsNoPull(t *testing.T) {
	t.Parallel()
	s, log := startUnread(t)
	_ = log.Close()
	s.answersAll()
	s.stop()
}

// startUnread starts a server and returns what its log is read from.
func startUnread(t *testing.T) (*server, *os.File) {
	t.Helper()
	hub := newHub(t, hubsim.Options{})
	hub.AddImage("library/app", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{1 << 10}})
	s := newServer(t, t.TempDir(), hub)
	address := testkit.NewAddress(t)
	s.args = append(s.args, "--listen", address, "--log-level", "info")
	log, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	s.cmd = exec.Command(s.program, s.args...)
	s.cmd.Dir, s.cmd.Stderr = s.home, stderr
	s.cmd.Env = []string{"HOME=" + s.home, "LARDER_ADMIN_PASSWORD=" + adminPassword}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stderr.Close()
	s.url, s.ended = "http://"+address, make(chan struct{})
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	until(t, "larder listens", func() bool {
		s.alive()
		resp, err := http.Get(s.url + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	return s, log
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

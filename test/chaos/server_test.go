package chaos_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	adminPassword = "correct-horse-battery-staple"
	// startLimit bounds a start, stopLimit the end of a drained server, on a machine that
	// is busy with other things.
	startLimit = time.Minute
	stopLimit  = time.Minute
	poll       = 10 * time.Millisecond
	// maxShown is how many lines of a server's output a failed test shows.
	maxShown = 60
)

// server is the program on a data folder of its own. It may be started again and again.
type server struct {
	t       *testing.T
	program string // the path of what is started
	data    string
	home    string // where it runs, never on what data is on
	args    []string
	env     []string // more of its environment

	// The rest belongs to the process that was started last.
	url     string
	cmd     *exec.Cmd
	started chan string   // the address that it listens on
	ended   chan struct{} // closed when it has ended and err is set
	err     error
	output  *tail
	startup time.Duration // until it listened
}

// newServer prepares a server that keeps its data in the folder and mirrors the hub.
func newServer(t *testing.T, data string, hub *hubsim.Hub) *server {
	t.Helper()
	s := &server{t: t, program: os.Getenv(binaryVariable), data: data, home: t.TempDir(), output: &tail{}, args: []string{
		"serve", "--listen", "127.0.0.1:0", "--data", data, "--log-level", "warn", "--log-format", "text",
		"--upstream", "docker-hub=" + hub.URL(),
	}}
	t.Cleanup(func() {
		s.kill()
		if text := s.output.String(); strings.Contains(text, "panic:") || strings.Contains(text, "DATA RACE") || strings.Contains(text, "fatal error:") {
			t.Errorf("the server panicked")
		}
		if t.Failed() {
			t.Logf("the end of what the server printed:\n%s", s.output)
		}
	})
	return s
}

// newHub is a Docker Hub that meters nothing.
func newHub(t *testing.T, options hubsim.Options) *hubsim.Hub {
	t.Helper()
	options.AnonymousLimit = hubsim.Unmetered
	hub, err := hubsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	return hub
}

// launch starts the process and does not wait until it listens.
func (s *server) launch() { s.launchTo(nil) }

// launchTo starts the process with a standard error that is followed, or is the one given.
func (s *server) launchTo(given *os.File) {
	s.t.Helper()
	s.cmd = exec.Command(s.program, s.args...)
	s.cmd.Dir = s.home
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.cmd.Dir, "TMPDIR=" + s.cmd.Dir, "LARDER_ADMIN_PASSWORD=" + adminPassword}
	s.cmd.Env = append(s.cmd.Env, s.env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr io.Reader = strings.NewReader("")
	if given != nil {
		s.cmd.Stderr = given
	} else if pipe, err := s.cmd.StderrPipe(); err != nil {
		s.t.Fatal(err)
	} else {
		stderr = pipe
	}
	s.started, s.ended = make(chan string, 1), make(chan struct{})
	launched := make(chan error, 1)
	go func(cmd *exec.Cmd, started chan<- string, ended chan<- struct{}) {
		defer close(ended)
		// The kernel ties Pdeathsig to the thread that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		launched <- err
		if err == nil {
			s.output.follow(stderr, started)
			s.err = cmd.Wait()
		}
	}(s.cmd, s.started, s.ended)
	if err := <-launched; err != nil {
		s.t.Fatalf("starting larder: %v", err)
	}
}

// start starts the process and waits until it listens.
func (s *server) start() *client {
	s.t.Helper()
	began := time.Now()
	s.launch()
	s.awaitListening()
	s.startup = time.Since(began)
	return newClient(s.t, s.url)
}

func (s *server) awaitListening() {
	s.t.Helper()
	select {
	case s.url = <-s.started:
	case <-s.ended:
		s.t.Fatalf("larder ended (%v) and does not listen:\n%s", s.err, s.output)
	case <-time.After(startLimit):
		s.t.Fatalf("larder did not listen within %s:\n%s", startLimit, s.output)
	}
}

// kill gives the process no time for anything.
func (s *server) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.ended
}

// stop ends the process as its operator does.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
		s.t.Fatalf("larder did not end within %s of SIGTERM:\n%s", stopLimit, s.output)
	}
	if s.err != nil {
		s.t.Errorf("larder ended with %v:\n%s", s.err, s.output)
	}
}

// alive fails the test when the process has ended by itself.
func (s *server) alive() {
	s.t.Helper()
	select {
	case <-s.ended:
		s.t.Fatalf("larder ended by itself (%v):\n%s", s.err, s.output)
	default:
	}
}

// memory reads one of the sizes that the kernel tells of the process, in bytes: VmRSS
// now, or VmHWM, the largest since forgetPeak.
func (s *server) memory(name string) int64 {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		s.t.Fatalf("/proc tells no %s:\n%s", name, status)
	}
	kib, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

// forgetPeak makes VmHWM begin anew (proc(5), clear_refs).
func (s *server) forgetPeak() {
	s.t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0); err != nil {
		s.t.Fatal(err)
	}
}

// descriptors counts the files and connections that the process has open.
func (s *server) descriptors() int {
	s.t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(open)
}

// tail is the end of what a server printed.
type tail struct {
	mu    sync.Mutex
	lines []string
}

// follow reads until the process ends, and sends the address that it listens on.
func (o *tail) follow(stderr io.Reader, started chan<- string) {
	address := regexp.MustCompile(`^Larder \S+ listens on http://localhost:(\d+),`)
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		o.mu.Lock()
		o.lines = append(o.lines, line)
		o.lines = o.lines[max(0, len(o.lines)-maxShown):]
		o.mu.Unlock()
		if found := address.FindStringSubmatch(line); found != nil {
			started <- "http://127.0.0.1:" + found[1]
		}
		if err != nil {
			return
		}
	}
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "")
}

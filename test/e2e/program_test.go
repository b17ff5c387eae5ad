package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clientTimeout bounds one run of a client that is given no other limit.
const clientTimeout = time.Minute

// program is a program as somebody uses it on a machine of their own: with an empty
// home, and without a way to other machines.
type program struct {
	t    *testing.T
	path string
	home string
	env  []string
	args []string // come before those of each run
	// limit bounds one run.
	limit time.Duration
}

// newProgram fails the test when the program is not installed.
func newProgram(t *testing.T, name string) *program {
	t.Helper()
	home := newHome(t)
	// The proxy is an address where nobody listens, so that a client that goes around
	// Larder fails everywhere and not only where there is no network.
	nowhere := "http://127.0.0.1:9"
	return &program{
		t: t, path: find(t, name), home: home, limit: clientTimeout,
		env: []string{
			"PATH=" + searchPath(), "HOME=" + home, "TMPDIR=" + home, "XDG_RUNTIME_DIR=" + home,
			"HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere, "NO_PROXY=127.0.0.1,localhost",
		},
	}
}

// newHome makes a folder with a short name: podman takes none of more than 50
// characters, and the name of a socket has at most 108.
func newHome(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "larder-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	return home
}

// searchPath has the folders of daemons, which are not on everybody's path.
func searchPath() string {
	return os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin"
}

func find(t *testing.T, name string) string {
	t.Helper()
	if filepath.IsAbs(name) {
		return name
	}
	for _, folder := range filepath.SplitList(searchPath()) {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: run `make deps`", name)
	return ""
}

// needRoot is for clients that mount and chown what they unpack.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this client needs root: run the tests as root")
	}
}

// write puts a file into the program's home and returns its path.
func (p *program) write(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// command starts in a process group of its own, which ends with the tests even where
// they are killed.
func (p *program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, append(append([]string{}, p.args...), args...)...)
	cmd.Env, cmd.Dir = p.env, p.home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// process is a program that was started.
type process struct {
	*exec.Cmd
	ended chan struct{} // closed when it has ended and err is set
	err   error         // what Wait returned
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{Cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		// The kernel ties Pdeathsig to the thread that started the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	return p, <-started
}

// signalGroup reaches the process and the children that it left.
func (p *process) signalGroup(signal syscall.Signal) {
	_ = syscall.Kill(-p.Process.Pid, signal) // it may have ended already
}

// result is what a run of a program left.
type result struct {
	stdout, stderr string
	code           int
	cpu            time.Duration // that it has used, with its children
}

// both is all that the person at the terminal saw.
func (r result) both() string { return r.stdout + r.stderr }

// try runs the program to its end, with standard input from a text.
func (p *program) try(stdin string, args ...string) result {
	p.t.Helper()
	return p.begin(stdin, args...)()
}

// begin is try for several programs at once: finish waits for the end.
func (p *program) begin(stdin string, args ...string) (finish func() result) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := p.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	running, err := start(cmd)
	if err != nil {
		p.t.Fatalf("starting %s: %v", p.path, err)
	}
	return func() result {
		p.t.Helper()
		select {
		case <-running.ended:
		case <-time.After(p.limit):
			running.signalGroup(syscall.SIGKILL)
			<-running.ended
			p.t.Fatalf("%s %s did not end within %s\n%s%s", filepath.Base(p.path), strings.Join(args, " "), p.limit, &stdout, &stderr)
		}
		var exit *exec.ExitError
		if running.err != nil && !errors.As(running.err, &exit) {
			p.t.Fatalf("running %s: %v", p.path, running.err)
		}
		ended := cmd.ProcessState
		return result{stdout.String(), stderr.String(), ended.ExitCode(), ended.UserTime() + ended.SystemTime()}
	}
}

// run fails the test unless the program succeeds; it returns what was printed to
// standard output.
func (p *program) run(args ...string) string {
	p.t.Helper()
	return p.runWith("", args...)
}

// runWith is run with a standard input.
func (p *program) runWith(stdin string, args ...string) string {
	p.t.Helper()
	got := p.try(stdin, args...)
	if got.code != 0 {
		p.t.Fatalf("%s %s: exit status %d\n%s", filepath.Base(p.path), strings.Join(args, " "), got.code, got.both())
	}
	return got.stdout
}

// fails fails the test unless the program does; it returns all that was printed.
func (p *program) fails(args ...string) string {
	p.t.Helper()
	got := p.try("", args...)
	if got.code == 0 {
		p.t.Fatalf("%s %s succeeded\n%s", filepath.Base(p.path), strings.Join(args, " "), got.both())
	}
	return got.both()
}

// wants fails the test unless the text holds the sentence.
func wants(t *testing.T, text, sentence string) {
	t.Helper()
	if !strings.Contains(text, sentence) {
		t.Errorf("what was printed:\n%s\nlacks:\n%s", text, sentence)
	}
}

// read returns a file's text.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

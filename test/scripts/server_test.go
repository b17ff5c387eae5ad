package scripts_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	// logName is the file in $WORK that the servers of a script write their standard
	// error to, one after the other.
	logName = "server.log"
	// patience bounds each wait for a server.
	patience = 20 * time.Second
	poll     = 5 * time.Millisecond
)

// server is one `larder serve` in the background.
type server struct {
	cmd     *exec.Cmd
	logFile string
	// mark is where in the log the part begins that was written since the last start
	// or signal.
	mark  int64
	url   string
	ended chan struct{}
	err   error // how it ended; read it once ended is closed
}

// serve starts a server and waits until it answers. It sets $SERVER, $PORT, $MIRROR,
// and $ADMIN_PASSWORD if the server printed one.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	if neg {
		usage(ts, "! serve", args, "serve ARGS; or ! larder serve ARGS")
	}
	if w.server != nil {
		ts.Fatalf("a server runs already")
	}
	s, err := startServer(ts, args)
	if err != nil {
		ts.Fatalf("starting the server: %v", err)
	}
	w.server = s
	var printed string
	address := regexp.MustCompile(`(?m)^Larder \S+ listens on (\S+), data in `)
	s.until(ts, "listens", func() bool {
		printed = s.log(ts)
		return address.MatchString(printed)
	})
	s.url = first(address, printed)
	s.until(ts, "answers", func() bool { return s.ask() == nil })
	printed = s.log(ts)
	ts.Setenv("SERVER", s.url)
	if u, err := url.Parse(s.url); err == nil {
		ts.Setenv("PORT", u.Port())
	}
	ts.Setenv("MIRROR", first(regexp.MustCompile(`registry-mirrors may use (\S+)`), printed))
	if password := first(regexp.MustCompile(`Its password is shown this once:\n\n  (\S+)\n`), printed); password != "" {
		ts.Setenv("ADMIN_PASSWORD", password)
	}
}

func startServer(ts *testscript.TestScript, args []string) (*server, error) {
	s := &server{
		cmd:     exec.Command(worldOf(ts).program, append([]string{"serve"}, args...)...),
		logFile: filepath.Join(ts.Getenv("WORK"), logName),
		ended:   make(chan struct{}),
	}
	s.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{
		"PATH", "HOME", "LARDER_ADMIN_PASSWORD", "LARDER_CONFIG", "LARDER_LISTEN", "LARDER_MIRROR_LISTEN",
		"LARDER_DATA", "LARDER_PUBLIC_URL", "LARDER_LOG_LEVEL", "LARDER_LOG_FORMAT", "LARDER_OIDC_CLIENT_SECRET",
	} {
		s.cmd.Env = append(s.cmd.Env, name+"="+ts.Getenv(name))
	}
	log, err := os.OpenFile(s.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	s.cmd.Stderr = log
	if err := s.remember(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.ended)
		s.err = s.cmd.Wait()
	}()
	return s, nil
}

// control does something with the server that runs.
func control(ts *testscript.TestScript, neg bool, args []string) {
	const known = "server stop, server terminate, server hangup, server ended, server kill, server reload PATTERN, [!] server log PATTERN"
	s := worldOf(ts).server
	if s == nil {
		ts.Fatalf("no server runs")
	}
	switch what := strings.Join(args[:min(len(args), 1)], ""); {
	case what == "log" && len(args) == 2:
		s.logged(ts, neg, args[1])
	case neg:
		usage(ts, "! server", args, known)
	case what == "reload" && len(args) == 2:
		s.signal(ts, syscall.SIGHUP)
		s.logged(ts, false, args[1])
	case len(args) != 1:
		usage(ts, "server", args, known)
	case what == "stop":
		s.signal(ts, syscall.SIGTERM)
		s.wait(ts)
	case what == "terminate":
		s.signal(ts, syscall.SIGTERM)
		s.until(ts, "takes no new connections", func() bool { return errors.Is(s.ask(), syscall.ECONNREFUSED) })
	case what == "hangup":
		s.signal(ts, syscall.SIGHUP)
	case what == "ended":
		s.wait(ts)
	case what == "kill":
		s.kill()
		worldOf(ts).server = nil
	default:
		usage(ts, "server", args, known)
	}
}

// signal sends a signal; what the log says from now on is what came of it.
func (s *server) signal(ts *testscript.TestScript, sig os.Signal) {
	if err := s.remember(); err != nil {
		ts.Fatalf("%v", err)
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		ts.Fatalf("sending %v: %v", sig, err)
	}
}

// wait waits for a server that was told to end and checks that it ended well.
func (s *server) wait(ts *testscript.TestScript) {
	select {
	case <-s.ended:
	case <-time.After(patience):
		ts.Fatalf("the server did not end; it logged:\n%s", s.log(ts))
	}
	if s.err != nil {
		ts.Fatalf("the server ended with %v; it logged:\n%s", s.err, s.log(ts))
	}
	worldOf(ts).server = nil
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// logged waits for a line that matches, or, with neg, checks that there is none yet.
func (s *server) logged(ts *testscript.TestScript, neg bool, pattern string) {
	line, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		ts.Fatalf("%v", err)
	}
	found := func() bool { return line.MatchString(s.log(ts)) }
	if !neg {
		s.until(ts, "logs "+pattern, found)
	} else if found() {
		ts.Fatalf("the log has %s:\n%s", pattern, s.log(ts))
	}
}

// until waits for something that a running server does.
func (s *server) until(ts *testscript.TestScript, what string, done func() bool) {
	deadline := time.Now().Add(patience)
	for !done() {
		select {
		case <-s.ended:
			if done() { // it was the last thing that it did
				return
			}
			ts.Fatalf("the server ended (%v) before it %s; it logged:\n%s", s.err, what, s.log(ts))
		case <-time.After(poll):
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server never %s; it logged:\n%s", what, s.log(ts))
		}
	}
}

// ask sends a request on a new connection.
func (s *server) ask() error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *server) remember() error {
	info, err := os.Stat(s.logFile)
	if err != nil {
		return fmt.Errorf("looking at the server's log: %w", err)
	}
	s.mark = info.Size()
	return nil
}

func (s *server) log(ts *testscript.TestScript) string {
	f, err := os.Open(s.logFile)
	ts.Check(err)
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(f, s.mark, 1<<30))
	ts.Check(err)
	return string(text)
}

// first is what the first group of a pattern matched, or nothing.
func first(pattern *regexp.Regexp, text string) string {
	if found := pattern.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// Package scripts_test runs Larder as a person does: each file of testdata is a story
// of command lines, in the form of github.com/rogpeppe/go-internal/testscript, typed
// at the built program.
//
// Beside testscript's own commands the scripts know those of the table in commands.
// At their beginning there are no logins, no server runs, and LARDER_LISTEN is a free
// port of loopback.
package scripts_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/larder-registry/larder/internal/testkit/oidctest"
)

type command = func(ts *testscript.TestScript, neg bool, args []string)

func commands() map[string]command {
	return map[string]command{
		"larder":      program("larder"), // larder ARGS; with ! in front it has to fail
		"oc":          program("oc"),     // the same through a link of that name
		"status":      status,            // status N: how the last larder ended
		"serve":       serve,             // serve ARGS: larder serve, in the background
		"server":      control,           // server stop|kill|terminate|ended|reload|log: see control
		"hub":         simulate,          // hub start|push|break|restore|counters|stop: see simulate
		"request":     request,           // request [flags] METHOD PATH STATUS: as curl -i
		"transfer":    transfer,          // transfer start PATH, transfer whole DIGEST, transfer cut
		"certificate": certificate,       // certificate NAME: makes NAME.crt and NAME.key for loopback
		"expand":      expand,            // expand FILE...: replaces $VARIABLES in files
		"freeport":    freePort,          // freeport NAME: sets $NAME to a port that nobody listens on
		"issuer":      issuer,            // issuer start|token|user|confirm: where people and pipelines come from
		"browser":     browse,            // browser start, browser page: opens what larder opens
		"forge":       forge,             // forge HOW VARIABLE TOKEN: makes a token that was not issued
		"keep":        keep,              // keep VARIABLE PATTERN: sets $VARIABLE to what was printed
		"age":         age,               // age FILE DURATION: lets blobs have been stored earlier
		"spoil":       spoil,             // spoil FOLDER DIGEST: changes a byte of a stored blob
	}
}

func TestScripts(t *testing.T) {
	programs := build(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", programs+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("LARDER_LISTEN", "127.0.0.1:0")
			w := &world{program: filepath.Join(programs, "larder")}
			env.Values[worldKey{}] = w
			env.Defer(w.end)
			return nil
		},
	})
}

// build makes the program as a release does, and a link to it for those used to oc.
func build(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	program := filepath.Join(folder, "larder")
	build := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-trimpath",
		"-ldflags", "-X main.version=1.2.3 -X main.commit=0123456789ab", "-o", program,
		"github.com/larder-registry/larder/cmd/larder")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building larder: %v\n%s", err, output)
	}
	if err := os.Symlink(program, filepath.Join(folder, "oc")); err != nil {
		t.Fatal(err)
	}
	return folder
}

// world is what one script has running.
type world struct {
	program    string // the path of larder
	lastStatus int
	server     *server
	hub        *hub
	transfer   *download
	issuer     *oidctest.Issuer
	browser    *browser
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world {
	return ts.Value(worldKey{}).(*world)
}

func (w *world) end() {
	if w.transfer != nil {
		w.transfer.cancel()
	}
	if w.server != nil {
		w.server.kill()
	}
	if w.browser != nil {
		w.browser.close()
	}
	if w.issuer != nil {
		w.issuer.Close()
	}
	if w.hub != nil {
		w.hub.Close()
	}
}

// program is the command that runs a program and keeps its exit status.
func program(name string) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		err := ts.Exec(name, args...)
		ended, exited := errors.AsType[*exec.ExitError](err)
		if err != nil && !exited {
			ts.Fatalf("running %s: %v", name, err)
		}
		worldOf(ts).lastStatus = 0
		if exited {
			worldOf(ts).lastStatus = ended.ExitCode()
		}
		if failed := err != nil; failed != neg {
			ts.Fatalf("%s %s ended with status %d", name, strings.Join(args, " "), worldOf(ts).lastStatus)
		}
	}
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(strings.Join(args, " "))
	if neg || err != nil {
		ts.Fatalf("usage: status N")
	}
	if got := worldOf(ts).lastStatus; got != want {
		ts.Fatalf("the exit status was %d, not %d", got, want)
	}
}

func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		if err := os.WriteFile(ts.MkAbs(name), []byte(text), 0o600); err != nil {
			ts.Fatalf("expanding %s: %v", name, err)
		}
	}
}

// usage fails a script that calls a command in a way that it does not know.
func usage(ts *testscript.TestScript, name string, args []string, known string) {
	ts.Fatalf("%s %s: the ways to write it are %s", name, strings.Join(args, " "), known)
}

package metadatatest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgreSQLUser = "larder"
	// PostgreSQLPassword is the password in the URLs of Database. The server asks for
	// it, so it has to get there; it must not get anywhere else.
	PostgreSQLPassword = "s3cr3t-of-the-tests"
	// postgreSQLPatience bounds the wait for a server to start or to stop, which takes
	// a second on a machine that is not busy.
	postgreSQLPatience = time.Minute
)

// PostgreSQL is a server for tests, with its data in a temporary folder. It listens
// on a socket in that folder only. It does not wait for its disk (fsync=off), so it
// keeps what it acknowledged when it is killed, but not in a power failure. Its databases
// live for seconds, and nobody tidies them up (autovacuum=off).
type PostgreSQL struct {
	folder    string
	binaries  string
	as        *syscall.SysProcAttr
	process   *os.Process
	exited    chan *os.ProcessState
	databases atomic.Int64
}

// StartPostgreSQL starts a server, which Stop stops. It dies with the tests, however
// they end.
func StartPostgreSQL() (*PostgreSQL, error) {
	p := &PostgreSQL{}
	err := p.create()
	if err == nil {
		err = p.start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a PostgreSQL for the tests: %w", err), p.Stop())
	}
	return p, nil
}

// NewPostgreSQL starts a server for one test.
func NewPostgreSQL(t *testing.T) *PostgreSQL {
	t.Helper()
	p, err := StartPostgreSQL()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// create makes the data folder.
func (p *PostgreSQL) create() (err error) {
	if p.binaries, err = postgreSQLBinaries(); err != nil {
		return err
	}
	if p.as, err = postgreSQLAccount(); err != nil {
		return err
	}
	// The name of a socket is 107 bytes at most, and others than root have to get there.
	if p.folder, err = os.MkdirTemp("/tmp", "larder-postgresql-"); err != nil {
		return err
	}
	password := filepath.Join(p.folder, "password")
	if err := os.WriteFile(password, []byte(PostgreSQLPassword), 0o600); err != nil {
		return err
	}
	if who := p.as.Credential; who != nil {
		for _, path := range []string{p.folder, password} {
			if err := os.Chown(path, int(who.Uid), int(who.Gid)); err != nil {
				return err
			}
		}
	}
	initdb := p.command("initdb", "--pgdata", p.data(), "--username", postgreSQLUser, "--pwfile", password,
		"--auth", "password", "--encoding", "UTF8", "--no-locale", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w:\n%s", err, output)
	}
	return nil
}

// start runs the server and waits until it answers.
func (p *PostgreSQL) start() error {
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	server := p.command("postgres", "-D", p.data(), "-k", p.folder, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off")
	server.Stdout, server.Stderr = log, log
	started := make(chan error)
	p.exited = make(chan *os.ProcessState, 1)
	go func() {
		// Linux takes the end of the thread that started a process for the parent's.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := server.Start()
		started <- err
		if err == nil {
			_ = server.Wait() // what it would tell, the state tells too
			p.exited <- server.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.process = server.Process
	return p.waitUntilReady()
}

func (p *PostgreSQL) waitUntilReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), postgreSQLPatience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := pgx.Connect(ctx, p.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case exit := <-p.exited:
			p.process = nil
			log, _ := os.ReadFile(filepath.Join(p.folder, "log"))
			return fmt.Errorf("postgres ended (%s):\n%s", exit, log)
		case <-ctx.Done():
			return fmt.Errorf("postgres did not answer in %s: %w", postgreSQLPatience, err)
		case <-again.C:
		}
	}
}

// Restart ends the server and starts it again: after it has undone what is running
// and told its clients, or, for a crash, at once.
func (p *PostgreSQL) Restart(t testing.TB, crash bool) {
	t.Helper()
	// https://www.postgresql.org/docs/current/server-shutdown.html
	signal := syscall.SIGINT
	if crash {
		signal = syscall.SIGQUIT
	}
	if err := p.end(signal); err != nil {
		t.Fatalf("stopping PostgreSQL: %v", err)
	}
	if err := p.start(); err != nil {
		t.Fatalf("starting PostgreSQL again: %v", err)
	}
}

// Stop ends the server and removes its data.
func (p *PostgreSQL) Stop() error {
	err := p.end(syscall.SIGQUIT)
	if p.folder != "" {
		err = errors.Join(err, os.RemoveAll(p.folder))
	}
	return err
}

func (p *PostgreSQL) end(signal syscall.Signal) error {
	if p.process == nil {
		return nil
	}
	if err := p.process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.exited:
		p.process = nil
		return nil
	case <-time.After(postgreSQLPatience):
		return fmt.Errorf("postgres did not end in %s after %s", postgreSQLPatience, signal)
	}
}

// Database makes an empty database of 8 MB and returns its URL. It goes with the
// server: to drop it takes longer than to make it.
func (p *PostgreSQL) Database(t testing.TB, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", p.databases.Add(1))
	create := "CREATE DATABASE " + name + " STRATEGY FILE_COPY" // through its log it takes twice as long
	for _, option := range options {
		create += " " + option
	}
	conn, err := pgx.Connect(t.Context(), p.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), create)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatalf("%s: %v", create, err)
	}
	return p.url(name)
}

func (p *PostgreSQL) url(database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(postgreSQLUser, PostgreSQLPassword),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {p.folder}}.Encode(),
	}).String()
}

func (p *PostgreSQL) data() string { return filepath.Join(p.folder, "data") }

// command is one of PostgreSQL's programs, run by whom they let run them.
func (p *PostgreSQL) command(name string, args ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(p.binaries, name), args...)
	command.Dir = p.folder
	command.SysProcAttr = p.as
	return command
}

// postgreSQLAccount tells how to run PostgreSQL, which refuses to be run by root.
func postgreSQLAccount() (*syscall.SysProcAttr, error) {
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Geteuid() != 0 {
		return as, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres (%w): run make deps", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, errors.Join(uidErr, gidErr)
}

// postgreSQLBinaries is the folder of the server's programs: on the path, or where
// Debian puts them, once for each version.
func postgreSQLBinaries() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Dir(initdb), nil
		}
	}
	found, err := fs.Glob(os.DirFS("/usr/lib/postgresql"), "*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("there is no initdb on this machine: run make deps")
	}
	return filepath.Join("/usr/lib/postgresql", filepath.Dir(found[len(found)-1])), nil
}

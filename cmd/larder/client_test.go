package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestALoginIsKeptForItsOwnerAlone(t *testing.T) {
	s, server, _ := newSession(t)
	info, err := os.Stat(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %o", info.Mode().Perm())
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), adminPassword) {
		t.Error("the password is kept")
	}
	host := strings.TrimPrefix(server.URL, "http://")
	token := strings.TrimSpace(s.ok("whoami -t"))
	want := "current-context: " + host + "/admin\ncontexts:\n  " + host + "/admin:\n    server: " + server.URL + "\n    user: admin\n    token: " + token + "\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func TestWhoamiAsksTheServer(t *testing.T) {
	s, server, _ := newSession(t)
	if got := s.ok("whoami"); got != "admin\n" {
		t.Errorf("whoami = %q", got)
	}
	server.Close()
	s.fails(exitFailed, "whoami", "cannot reach "+server.URL, "/healthz")
	if got := s.ok("whoami -t"); !strings.HasPrefix(got, accessTokenPrefix) {
		t.Errorf("whoami -t = %q", got)
	}
}

func TestTheWaysToLogIn(t *testing.T) {
	first, server, _ := newSession(t)
	token := strings.TrimSpace(first.ok("whoami -t"))
	tests := []struct {
		name, stdin string
		args        []string
		warning     string
	}{
		{"a password from standard input", adminPassword + "\n", []string{"-u", "admin", "--password-stdin"}, ""},
		{"a password with Windows' line end", adminPassword + "\r\n", []string{"-u", "admin", "--password-stdin"}, ""},
		{"a password on the command line", "", []string{"-u", "admin", "-p", adminPassword}, "warning: a password on the command line"},
		{"a token on the command line", "", []string{"--token", token}, "warning: a token on the command line"},
		{"a token as the password", "", []string{"-u", "unused", "-p", token}, "warning: a password on the command line"},
		{"a token from standard input", token, []string{"--password-stdin"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newShell(t)
			r := s.typeIn(tt.stdin, append([]string{"login", server.URL}, tt.args...)...)
			if r.status != exitDone || !strings.HasPrefix(r.stdout, "Logged in to "+server.URL+" as admin") {
				t.Fatalf("login = %+v", r)
			}
			if (tt.warning == "") != (r.stderr == "") || !strings.HasPrefix(r.stderr, tt.warning) {
				t.Errorf("stderr = %q, want %q", r.stderr, tt.warning)
			}
			if got := s.ok("whoami"); got != "admin\n" {
				t.Errorf("whoami = %q", got)
			}
		})
	}
}

func TestALoginThatIsRefusedIsNotKept(t *testing.T) {
	handler, _ := newAPI(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s := newShell(t)
	s.fails(exitFailed, "login "+server.URL+" -u admin -p wrong", "the password is wrong")
	s.fails(exitFailed, "login "+server.URL+" --token abc", "not known here")
	if _, err := os.Stat(s.config); !os.IsNotExist(err) {
		t.Errorf("kept: %v", err)
	}
}

func TestCommandLinesThatCannotBeRight(t *testing.T) {
	s := newShell(t)
	tests := []struct{ name, line, text string }{
		{"no server", "login -u admin -p x", "no server is given"},
		{"two servers", "login http://a http://b", "usage: larder login"},
		{"a user name in the URL", "login http://alice:secret@localhost:5000", "must not hold a user name"},
		{"a path in the URL", "login http://localhost:5000/v2 -u a -p b", "write http://localhost:5000"},
		{"another scheme", "login ftp://localhost", "https://registry.example.com"},
		{"two secrets", "login localhost -u admin -p x --token y", "one of"},
		{"no secret and no terminal", "login localhost -u admin", "--password-stdin"},
		{"a password without a user", "login localhost -p x", "-u NAME"},
		{"an empty standard input", "login localhost -u admin --password-stdin", "no password"},
		{"no project name", "new-project", "usage: larder new-project NAME"},
		{"nothing to get", "get", "larder get projects"},
		{"something unknown to get", "get pods", `larder get does not know "pods"`},
		{"an unknown format", "get projects -o xml", "json, yaml, name and wide"},
		{"an unknown flag", "whoami --shout", "unknown flag"},
		{"nothing to administer", "admin", "reset-password"},
		{"something unknown to administer", "admin reboot", `unknown command "reboot"`},
		{"an empty password to set", "admin reset-password --password-stdin", "no password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { s.fails(exitUsage, tt.line, tt.text) })
	}
	s.refused(s.typeIn("one\ntwo\n", "login", "localhost", "-u", "a", "--password-stdin"), exitUsage, "login", "more than one line")
}

func TestASecretInAURLIsNotRepeated(t *testing.T) {
	r := newShell(t).typeIn("", "login", "http://alice:s3cret@localhost:5000")
	if strings.Contains(r.stderr, "s3cret") {
		t.Errorf("stderr = %q", r.stderr)
	}
}

func TestServersAsPeopleTypeThem(t *testing.T) {
	tests := []struct{ name, typed, want string }{
		{"a URL", "https://registry.example.com", "https://registry.example.com"},
		{"a slash at the end", "https://registry.example.com:8443/", "https://registry.example.com:8443"},
		{"capital letters", "HTTPS://Registry.Example.com", "https://registry.example.com"},
		{"a host means https", "registry.example.com", "https://registry.example.com"},
		{"a host and a port mean https", "registry.example.com:5000", "https://registry.example.com:5000"},
		{"this machine means http", "localhost:5000", "http://localhost:5000"},
		{"this machine's address means http", "127.0.0.1:5000", "http://127.0.0.1:5000"},
		{"this machine's IPv6 address means http", "[::1]:5000", "http://[::1]:5000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parseServer(tt.typed); err != nil || got != tt.want {
				t.Errorf("parseServer(%q) = %q, %v; want %q", tt.typed, got, err, tt.want)
			}
		})
	}
}

func TestPlainHTTPIsWarnedOfExceptOnThisMachine(t *testing.T) {
	for server, want := range map[string]bool{
		"http://registry.example.com": true, "http://10.0.0.1:5000": true,
		"https://registry.example.com": false, "http://localhost:5000": false, "http://127.0.0.1:5000": false, "http://[::1]": false,
	} {
		if got := inTheClear(server); got != want {
			t.Errorf("inTheClear(%s) = %v", server, got)
		}
	}
}

func TestLoggingOutRevokesTheToken(t *testing.T) {
	s, server, db := newSession(t)
	s.ok("new-project demo")
	token := strings.TrimSpace(s.ok("whoami -t"))
	if got, want := s.ok("logout"), "Logged admin out of "+server.URL+".\n"; got != want {
		t.Errorf("logout = %q, want %q", got, want)
	}
	if left, err := db.Tokens.List(t.Context(), "admin"); err != nil || len(left) != 0 {
		t.Errorf("tokens = %v, %v", left, err)
	}
	if text, err := os.ReadFile(s.config); err != nil || strings.Contains(string(text), token) {
		t.Errorf("the token is still kept (%v)", err)
	}
	s.fails(exitFailed, "whoami", "logged out of "+server.URL, "larder login "+server.URL+" -u admin")
	s.fails(exitFailed, "whoami -t", "logged out")

	s.login(server.URL)
	if got := s.ok("project -q"); got != "demo\n" {
		t.Errorf("the selected project after another login = %q", got)
	}
}

func TestLoggingOutForgetsATokenThatCannotBeRevoked(t *testing.T) {
	s, server, _ := newSession(t)
	server.Close()
	s.fails(exitFailed, "logout", "not revoked", "cannot reach")
	s.fails(exitFailed, "whoami -t", "logged out")
}

func TestLoggingOutTwiceIsFineForTheServer(t *testing.T) {
	s, _, db := newSession(t)
	all, err := db.Tokens.List(t.Context(), "admin")
	if err != nil || len(all) != 1 {
		t.Fatalf("tokens = %v, %v", all, err)
	}
	if err := db.Tokens.Delete(t.Context(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	s.ok("logout")
}

func TestNobodyLoggedInIsTold(t *testing.T) {
	s := newShell(t)
	for _, line := range []string{"whoami", "whoami -t", "logout", "new-project demo", "project", "project demo", "projects", "get projects"} {
		s.fails(exitFailed, line, "larder login URL -u NAME")
	}
}

func TestALoginFileThatIsDamagedIsNotOverwritten(t *testing.T) {
	s, server, _ := newSession(t)
	damaged := "current-context: x\ncontext:\n  token: larder_secret\n"
	if err := os.WriteFile(s.config, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.typeIn(adminPassword, "login", server.URL, "-u", "admin", "--password-stdin")
	s.refused(r, exitFailed, "login", s.config, "repair the file")
	if strings.Contains(r.stderr, "larder_secret") {
		t.Errorf("the token is told: %s", r.stderr)
	}
	if text, err := os.ReadFile(s.config); err != nil || string(text) != damaged {
		t.Errorf("file = %q, %v", text, err)
	}
}

func TestACertificateThatIsNotKnownNamesTheFlag(t *testing.T) {
	handler, _ := newAPI(t)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newShell(t)
	s.refused(s.typeIn(adminPassword, "login", server.URL, "-u", "admin", "--password-stdin"), exitFailed, "login", "--certificate-authority FILE")
	for _, flag := range []string{"--certificate-authority=" + ca, "--insecure-skip-tls-verify"} {
		s := newShell(t)
		if r := s.typeIn(adminPassword, "login", server.URL, "-u", "admin", "--password-stdin", flag); r.status != exitDone {
			t.Fatalf("with %s: %s", flag, r.stderr)
		}
		// The next commands and logins need no flag.
		s.ok("whoami")
		s.login(server.URL)
	}
	s.refused(s.typeIn(adminPassword, "login", server.URL, "-u", "admin", "--password-stdin", "--certificate-authority", ca+".not"), exitFailed, "login", "certificate authority", "no such file")
	if err := os.WriteFile(ca, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.refused(s.typeIn(adminPassword, "login", server.URL, "-u", "admin", "--password-stdin", "--certificate-authority", ca), exitFailed, "login", "no certificate in PEM form")
}

func TestAServerThatIsNoLarderIsTold(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		text    string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "200 OK"},
		{"nothing there", http.NotFound, "404"},
		{"a proxy's login page", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "302"},
		{"a problem without a text", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadGateway)
		}, "502"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			t.Cleanup(server.Close)
			newShell(t).fails(exitFailed, "login "+server.URL+" -u admin -p x", "not as a Larder server does", tt.text)
		})
	}
}

func TestWhoSendsTooManyRequestsIsToldWhenToComeAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "Too Many Requests", http.StatusTooManyRequests)
	}))
	t.Cleanup(server.Close)
	newShell(t).fails(exitFailed, "login "+server.URL+" -u admin -p x", "gets too many requests from this address: try again in 7s")
}

func TestPlainHTTPTakenForHTTPSIsTold(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	line := "login " + strings.Replace(server.URL, "http:", "https:", 1) + " -u admin -p x"
	newShell(t).fails(exitFailed, line, "speaks plain HTTP")
}

func TestAgesAreShownAsKubectlDoes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", 59 * time.Minute: "59m",
		time.Hour: "1h", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 1000 * time.Hour: "41d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %s, want %s", d, got, want)
		}
	}
}

package scripts_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// call is one HTTP request as a script writes it.
type call struct {
	user, bearer, body, output, authority, keep, until string
	header                                             []string
	method, path, status                               string
}

// request sends one request and prints status, headers and body, as curl -i does:
//
//	request [flags] METHOD PATH STATUS    fails unless the answer has the status
//	! request [flags] METHOD PATH         fails unless there is no answer at all
//
// PATH is one of the server's, or a URL. $LOCATION is that header's value if the answer
// has one.
func request(ts *testscript.TestScript, neg bool, args []string) {
	c := parseCall(ts, neg, args)
	if neg {
		c.unanswered(ts)
		return
	}
	until, err := regexp.Compile("(?m)" + c.until)
	ts.Check(err)
	deadline := time.Now().Add(patience)
	a := c.answer(ts)
	for !until.MatchString(a.text()) && time.Now().Before(deadline) {
		time.Sleep(poll)
		a = c.answer(ts)
	}
	if c.output != "" {
		ts.Check(os.WriteFile(ts.MkAbs(c.output), a.body, 0o600))
		a.body = nil
	}
	_, _ = io.WriteString(ts.Stdout(), a.text())
	if got := strconv.Itoa(a.status); got != c.status {
		ts.Fatalf("%s %s was answered %s, not %s", c.method, c.path, got, c.status)
	}
	if location := a.header.Get("Location"); location != "" {
		ts.Setenv("LOCATION", location)
	}
	c.keepField(ts, a.body)
}

// answer is one that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// text is what curl -i prints.
func (a answer) text() string {
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%d %s\n", a.status, http.StatusText(a.status))
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		for _, value := range a.header[name] {
			_, _ = fmt.Fprintf(&text, "%s: %s\n", name, value)
		}
	}
	_, _ = fmt.Fprintf(&text, "\n%s", a.body)
	return text.String()
}

func (c call) answer(ts *testscript.TestScript) answer {
	resp, err := c.send(context.Background(), ts)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return answer{status: resp.StatusCode, header: resp.Header, body: body}
}

// unanswered checks that nobody answers, and prints why.
func (c call) unanswered(ts *testscript.TestScript) {
	resp, err := c.send(context.Background(), ts)
	if err == nil {
		_ = resp.Body.Close()
		ts.Fatalf("the answer was %s, and there should have been none", resp.Status)
	}
	_, _ = fmt.Fprintln(ts.Stderr(), err)
}

func parseCall(ts *testscript.TestScript, neg bool, args []string) call {
	var c call
	flags := flag.NewFlagSet("request", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.user, "u", "", "NAME:PASSWORD")
	flags.StringVar(&c.bearer, "bearer", "", "a token")
	flags.StringVar(&c.body, "d", "", "FILE with the body")
	flags.StringVar(&c.output, "o", "", "FILE for the answer's body")
	flags.StringVar(&c.authority, "cacert", "", "FILE with the authority to trust")
	flags.StringVar(&c.keep, "keep", "", "FIELD=VARIABLE: keep a field of a JSON answer")
	flags.StringVar(&c.until, "until", "", "PATTERN: ask again until the answer has it")
	flags.Func("H", "a header, NAME: VALUE", func(line string) error {
		c.header = append(c.header, line)
		return nil
	})
	ts.Check(flags.Parse(args))
	rest := flags.Args()
	if !neg && len(rest) == 3 {
		c.status = rest[2]
	} else if !neg || len(rest) != 2 {
		usage(ts, "request", args, "request [flags] METHOD PATH STATUS, ! request [flags] METHOD PATH")
	}
	c.method, c.path = rest[0], rest[1]
	return c
}

// send does one request on a connection of its own.
func (c call) send(ctx context.Context, ts *testscript.TestScript) (*http.Response, error) {
	address := c.path
	if strings.HasPrefix(address, "/") {
		address = ts.Getenv("SERVER") + address
	}
	var body io.Reader
	if c.body != "" {
		body = bytes.NewReader([]byte(ts.ReadFile(c.body)))
	}
	req, err := http.NewRequestWithContext(ctx, c.method, address, body)
	ts.Check(err)
	for _, line := range c.header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	if name, password, found := strings.Cut(c.user, ":"); found {
		req.SetBasicAuth(name, password)
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if c.authority != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(ts.ReadFile(c.authority))) {
			ts.Fatalf("%s holds no certificate", c.authority)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	client := &http.Client{
		Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client.Do(req)
}

// keepField sets a variable to a field of the answer.
func (c call) keepField(ts *testscript.TestScript, body []byte) {
	field, variable, found := strings.Cut(c.keep, "=")
	if !found {
		return
	}
	var fields map[string]any
	ts.Check(json.Unmarshal(body, &fields))
	value, ok := fields[field].(string)
	if !ok {
		ts.Fatalf("the answer has no text %q: %s", field, body)
	}
	ts.Setenv(variable, value)
}

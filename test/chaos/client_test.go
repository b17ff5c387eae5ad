package chaos_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	// requestLimit bounds every request of a client that expects an answer: a server
	// that hangs is a failure, one on a machine that is busy with other things is not.
	requestLimit = 2 * time.Minute
	// maxKept is how much of an answer's body is kept beside its digest, in bytes, unless
	// the request says more.
	maxKept = 64 << 10
)

// client is a plain HTTP client, logged in as the admin.
type client struct {
	base string
	http *http.Client
}

func newClient(t *testing.T, base string) *client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{base: base, http: &http.Client{Transport: transport, Timeout: requestLimit}}
}

// request is what is sent. A body of unknown size, -1, is sent in chunks.
type request struct {
	method, path string
	header       map[string]string
	body         io.Reader
	size         int64
	keep         int64 // of the answer's body, in bytes; 0 means maxKept
}

// answer is one that was received in full.
type answer struct {
	status int
	header http.Header
	body   []byte // its first bytes, as many as were to be kept
	digest digest.Digest
	size   int64
}

// do returns an error unless the whole answer came.
func (c *client) do(ctx context.Context, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, r.body)
	if err != nil {
		return answer{}, err
	}
	if r.body != nil {
		req.ContentLength = r.size
	}
	if r.body != nil && r.size == 0 {
		req.Body = http.NoBody
	}
	req.SetBasicAuth("admin", adminPassword)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header}
	digester := digest.SHA256.Digester()
	if a.body, err = io.ReadAll(io.TeeReader(io.LimitReader(resp.Body, cmp.Or(r.keep, maxKept)), digester.Hash())); err != nil {
		return answer{}, err
	}
	rest, err := io.Copy(digester.Hash(), resp.Body)
	a.digest, a.size = digester.Digest(), int64(len(a.body))+rest
	return a, err
}

func (c *client) get(ctx context.Context, path string) (answer, error) {
	return c.do(ctx, request{method: http.MethodGet, path: path})
}

// ok is 2xx.
func (a answer) ok() bool { return a.status/100 == 2 }

// problem reads the code and the message of an error (OCI Distribution 1.1, §Error
// Codes); both are empty when the body is none.
func (a answer) problem() (code, message string) {
	var list struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.body, &list) != nil || len(list.Errors) == 0 {
		return "", ""
	}
	return list.Errors[0].Code, list.Errors[0].Message
}

func (a answer) String() string {
	retry := ""
	if after := a.header.Get("Retry-After"); after != "" {
		retry = " (Retry-After " + after + ")"
	}
	return fmt.Sprintf("%d%s %.300s", a.status, retry, strings.TrimSpace(string(a.body)))
}

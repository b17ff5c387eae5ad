package hubsim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// maxRequests bounds the list of requests; the counters go on without it.
const maxRequests = 100_000

// Request is one request as the simulation saw it.
type Request struct {
	Service Service
	Method  string
	// Path is the registry's path with the query that changes the answer, or
	// "auth/token SCOPE...", or "cdn/DIGEST".
	Path      string
	Account   string // empty for strangers; the CDN knows nobody
	Range     string // the Range header, if any
	UserAgent string
	Status    int   // 0 while, or if, there is no answer
	Bytes     int64 // of the body, as sent
}

// String is compact enough to list what is expected on the wire, for example
// "GET /v2/library/nginx/manifests/latest 200",
// "GET auth/token repository:library/nginx:pull 200" or
// "GET cdn/sha256:... bytes=100- 206". Status 0 reads "unanswered".
func (r Request) String() string {
	line := r.Method + " " + r.Path
	if r.Range != "" {
		line += " " + r.Range
	}
	if r.Status == 0 {
		return line + " unanswered"
	}
	return fmt.Sprintf("%s %d", line, r.Status)
}

// Tally counts requests, whatever they were answered.
type Tally struct {
	ManifestGETs  int64
	ManifestHEADs int64
	BlobGETs      int64 // on the registry; most are redirects
	CDNGETs       int64
	TokenGETs     int64
	PullsCounted  int64 // manifest GETs that used up pull limit
	Bytes         int64 // of all bodies sent
}

// Counters is what was asked in total and by whom.
type Counters struct {
	Tally
	// Accounts holds the same for each account; strangers are "", and so is
	// everyone on the CDN.
	Accounts map[string]Tally
	// Refused counts connections that a Down fault refused.
	Refused int64
}

// Requests lists what arrived since the start or the last ResetRequests, in
// order of arrival. It ends after 100,000.
func (h *Hub) Requests() []Request {
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	list := make([]Request, 0, len(h.recorder.requests))
	for _, entry := range h.recorder.requests {
		list = append(list, *entry)
	}
	return list
}

// ResetRequests empties Requests, Counters and CredentialsLeaked. What was
// pulled stays counted against the limits.
func (h *Hub) ResetRequests() {
	for _, o := range h.origins() {
		o.mu.Lock()
		o.refused = 0
		o.mu.Unlock()
	}
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	h.recorder.requests, h.recorder.accounts, h.recorder.leaked = nil, nil, nil
}

// Counters sums up what arrived since the start or the last ResetRequests.
func (h *Hub) Counters() Counters {
	var counters Counters
	for _, o := range h.origins() {
		counters.Refused += o.refusals()
	}
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	counters.Accounts = make(map[string]Tally, len(h.recorder.accounts))
	for account, tally := range maps.All(h.recorder.accounts) {
		counters.Accounts[account] = *tally
		counters.add(*tally)
	}
	return counters
}

// CredentialsLeaked lists the requests that came to the CDN with an
// Authorization header, which no client may send there.
func (h *Hub) CredentialsLeaked() []string {
	h.recorder.mu.Lock()
	defer h.recorder.mu.Unlock()
	return slices.Clone(h.recorder.leaked)
}

func (t *Tally) add(other Tally) {
	t.ManifestGETs += other.ManifestGETs
	t.ManifestHEADs += other.ManifestHEADs
	t.BlobGETs += other.BlobGETs
	t.CDNGETs += other.CDNGETs
	t.TokenGETs += other.TokenGETs
	t.PullsCounted += other.PullsCounted
	t.Bytes += other.Bytes
}

type recorder struct {
	mu       sync.Mutex
	requests []*Request
	accounts map[string]*Tally
	leaked   []string
}

func (r *recorder) arrive(t target, c caller, request *http.Request) *Request {
	entry := &Request{
		Service: t.service, Method: request.Method, Path: t.label, Account: c.account,
		Range: request.Header.Get("Range"), UserAgent: request.UserAgent(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.requests) < maxRequests {
		r.requests = append(r.requests, entry)
	}
	tally := r.tally(c.account)
	switch request.Method + " " + string(t.path) {
	case "GET " + string(ManifestPath):
		tally.ManifestGETs++
	case "HEAD " + string(ManifestPath):
		tally.ManifestHEADs++
	case "GET " + string(BlobPath):
		tally.BlobGETs++
	case "GET " + string(CDNPath):
		tally.CDNGETs++
	case "GET " + string(TokenPath):
		tally.TokenGETs++
	}
	return entry
}

// tally must be called with mu held.
func (r *recorder) tally(account string) *Tally {
	if r.accounts == nil {
		r.accounts = map[string]*Tally{}
	}
	if r.accounts[account] == nil {
		r.accounts[account] = &Tally{}
	}
	return r.accounts[account]
}

func (r *recorder) pull(account string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally(account).PullsCounted++
}

func (r *recorder) leak(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.leaked) < maxRequests {
		r.leaked = append(r.leaked, what)
	}
}

// recordingWriter notes status and bytes before they are sent: who has an
// answer can rely on its being in the record.
type recordingWriter struct {
	http.ResponseWriter
	recorder *recorder
	entry    *Request
}

// Unwrap lets http.ResponseController find the connection's writer.
func (w *recordingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader records the status and sends it.
func (w *recordingWriter) WriteHeader(status int) {
	w.recorder.mu.Lock()
	w.entry.Status = status
	w.recorder.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

// Write records the bytes and sends them.
func (w *recordingWriter) Write(p []byte) (int, error) {
	// A body that net/http drops, as after HEAD, is not sent.
	if w.entry.Method == http.MethodHead {
		return w.ResponseWriter.Write(p)
	}
	w.count(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.count(int64(n - len(p)))
	return n, err
}

func (w *recordingWriter) count(n int64) {
	if n == 0 {
		return
	}
	w.recorder.mu.Lock()
	defer w.recorder.mu.Unlock()
	if w.entry.Status == 0 {
		w.entry.Status = http.StatusOK
	}
	w.entry.Bytes += n
	w.recorder.tally(w.entry.Account).Bytes += n
}

package s3test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Fault is what happens to a request on its way to S3, which is next.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Proxy stands between a store and S3.
type Proxy struct {
	server    *httptest.Server
	transport *http.Transport
	mu        sync.Mutex
	choose    func(r *http.Request) Fault // nil: none
	requests  []string                    // method and path
}

// NewProxy starts a proxy in front of a service. It is to be closed.
func NewProxy(to *url.URL) *Proxy {
	p := &Proxy{transport: &http.Transport{DisableCompression: true}}
	next := &httputil.ReverseProxy{
		Transport: p.transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.met(r); f != nil {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	return p
}

// Endpoint is the proxy's address.
func (p *Proxy) Endpoint() *url.URL {
	return &url.URL{Scheme: "http", Host: p.server.Listener.Addr().String()}
}

// Close cuts what goes through.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
	p.transport.CloseIdleConnections()
}

func (p *Proxy) met(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	if p.choose == nil {
		return nil
	}
	return p.choose(r)
}

// Fail has the faults chosen from now on, one request at a time.
func (p *Proxy) Fail(choose func(r *http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choose = choose
}

// Seen returns how many requests with this method there were, and forgets them.
func (p *Proxy) Seen(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, request := range p.requests {
		if strings.HasPrefix(request, method+" ") {
			n++
		}
	}
	p.requests = nil
	return n
}

// Always chooses the same fault.
func Always(f Fault) func(*http.Request) Fault { return func(*http.Request) Fault { return f } }

// First chooses a fault for as many of the requests that it is meant for.
func First(n int, f Fault, meant func(*http.Request) bool) func(*http.Request) Fault {
	return func(r *http.Request) Fault {
		if n == 0 || !meant(r) {
			return nil
		}
		n--
		return f
	}
}

// ReadsBlob tells a request for the bytes of a blob from all others.
func ReadsBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.RawQuery == "" && strings.Contains(r.URL.Path, "/blobs/")
}

// FirstTries chooses the fault for each request that was not met before. Those that
// begin a multipart upload are one: each try has another key.
func FirstTries(f Fault) func(*http.Request) Fault {
	met := map[string]bool{}
	return func(r *http.Request) Fault {
		request := r.Method + " " + r.URL.String()
		if r.URL.Query().Has("uploads") {
			request = r.Method + " uploads"
		}
		if met[request] {
			return nil
		}
		met[request] = true
		return f
	}
}

// Answer is an error of S3.
func Answer(status int, code string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that has gone is not answered
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>the proxy says so</Message></Error>")
	}
}

// HangUp closes the connection at once.
func HangUp(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// CutRequest closes the connection in the middle of what is sent.
func CutRequest(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	panic(http.ErrAbortHandler)
}

// LoseAnswer closes the connection when S3 has done what was asked.
func LoseAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// CutAnswer closes the connection in the middle of the answer's body.
func CutAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2]) // the client may have gone
	_ = http.NewResponseController(w).Flush()               // likewise
	panic(http.ErrAbortHandler)
}

// StallAnswer stops in the middle of the answer's body until the client has gone.
func StallAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	sent, err := io.ReadAll(r.Body) // to its end: only then is it noticed that a client goes
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	whole := httptest.NewRecorder()
	next.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2]) // the client may have gone
	_ = http.NewResponseController(w).Flush()               // likewise
	if whole.Body.Len() == 0 {
		return // there is no middle
	}
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// OKWithError says that all is well when S3 begins to put parts together, and then that
// it is not.
func OKWithError(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
		next.ServeHTTP(w, r)
		return
	}
	Answer(http.StatusOK, "InternalError")(w, r, next)
}

// Silence answers nothing until the client has gone.
func Silence(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// FlipSent changes a byte of what is sent.
func FlipSent(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	body[len(body)/2] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(body))
	next.ServeHTTP(w, r)
}

// FlipAnswer changes a byte in the middle of the answer's body, as it passes: an answer that is
// gathered first may take longer than the client waits.
func FlipAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(&flipping{ResponseWriter: w}, r)
}

type flipping struct {
	http.ResponseWriter
	passed int64
}

func (f *flipping) Write(p []byte) (int, error) {
	length, err := strconv.ParseInt(f.Header().Get("Content-Length"), 10, 64)
	if err != nil {
		length = 0 // it has none: the first byte
	}
	if at := length/2 - f.passed; at >= 0 && at < int64(len(p)) {
		p = bytes.Clone(p)
		p[at] ^= 1
	}
	n, err := f.ResponseWriter.Write(p)
	f.passed += int64(n)
	return n, err
}

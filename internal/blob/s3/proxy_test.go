package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"

	"github.com/larder-registry/larder/internal/blob/s3"
)

// fault is what happens to a request on its way to S3, which is next.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// proxy stands between a store and S3.
type proxy struct {
	server   *httptest.Server
	mu       sync.Mutex
	choose   func(r *http.Request) fault // nil: none
	requests []string                    // method and path
}

// throughProxy starts a proxy and makes it the endpoint of the configuration.
func throughProxy(t *testing.T, c *s3.Config) *proxy {
	t.Helper()
	transport, to := &http.Transport{DisableCompression: true}, c.Endpoint
	next := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p := &proxy{}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.met(r); f != nil {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
		transport.CloseIdleConnections()
	})
	endpoint := *c.Endpoint
	endpoint.Host = p.server.Listener.Addr().String()
	c.Endpoint = &endpoint
	return p
}

func (p *proxy) met(r *http.Request) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	if p.choose == nil {
		return nil
	}
	return p.choose(r)
}

// fail has the faults chosen from now on, one request at a time.
func (p *proxy) fail(choose func(r *http.Request) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choose = choose
}

// seen returns how many requests with this method there were, and forgets them.
func (p *proxy) seen(method string) int {
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

// always chooses the same fault.
func always(f fault) func(*http.Request) fault { return func(*http.Request) fault { return f } }

// firstTries chooses the fault for each request that was not met before. Those that
// begin a multipart upload are one: each try has another key.
func firstTries(f fault) func(*http.Request) fault {
	met := map[string]bool{}
	return func(r *http.Request) fault {
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

// answer is an error of S3.
func answer(status int, code string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that has gone is not answered
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>the proxy says so</Message></Error>")
	}
}

// hangUp closes the connection at once.
func hangUp(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// cutRequest closes the connection in the middle of what is sent.
func cutRequest(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	panic(http.ErrAbortHandler)
}

// loseAnswer closes the connection when S3 has done what was asked.
func loseAnswer(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// cutAnswer closes the connection in the middle of the answer's body.
func cutAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
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

// stallAnswer stops in the middle of the answer's body until the client has gone.
func stallAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
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

// okWithError says that all is well when S3 begins to put parts together, and then that
// it is not.
func okWithError(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
		next.ServeHTTP(w, r)
		return
	}
	answer(http.StatusOK, "InternalError")(w, r, next)
}

// silence answers nothing until the client has gone.
func silence(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

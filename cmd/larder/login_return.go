package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	callbackPath = "/callback"
	// returnTimeout bounds one request of the browser, and how long the last page may take
	// to get there.
	returnTimeout = 5 * time.Second
	// maxReturn bounds the head of such a request, in bytes.
	maxReturn = 16 << 10
)

// returning waits on loopback until the issuer sends the browser back.
type returning struct {
	listener net.Listener
	server   *http.Server
	state    string
	issuer   string
	came     chan returned
	ended    chan struct{} // closed when nothing listens any more
}

// returned is what the issuer gave the browser.
type returned struct {
	code string
	err  error
}

// listenForReturn begins to listen, on any free port for 0. Whoever comes back has to show
// the state.
func listenForReturn(ctx context.Context, port uint16, state, issuer string) (*returning, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("waiting for the browser to come back: %w", err)
	}
	b := &returning{listener: listener, state: state, issuer: issuer, came: make(chan returned, 1), ended: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callbackPath, b.callback)
	b.server = &http.Server{Handler: mux, ReadTimeout: returnTimeout, WriteTimeout: returnTimeout, MaxHeaderBytes: maxReturn}
	b.server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(b.ended)
		_ = b.server.Serve(listener) // it ends with close
	}()
	return b, nil
}

// address is where the issuer is to send the browser.
func (b *returning) address() string { return "http://" + b.listener.Addr().String() + callbackPath }

// wait waits for the code.
func (b *returning) wait(ctx context.Context) (code string, err error) {
	select {
	case r := <-b.came:
		return r.code, r.err
	case <-b.ended:
		return "", errors.New("nothing listens any more for the browser to come back")
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close lets the last page get to the browser.
func (b *returning) close() {
	ctx, cancel := context.WithTimeout(context.Background(), returnTimeout)
	defer cancel()
	if b.server.Shutdown(ctx) != nil {
		_ = b.server.Close()
	}
	<-b.ended
}

// callback takes what the issuer sends with the browser. What has another state, or comes
// from another issuer (RFC 9207), was not begun here: it changes nothing, and the login goes
// on waiting. Only the first counts.
func (b *returning) callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	from := query.Get("iss")
	if r.Host != b.listener.Addr().String() ||
		subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(b.state)) != 1 || from != "" && from != b.issuer {
		page(w, http.StatusBadRequest, "This is not the login that waits in the terminal.", "Nothing was done. Go back to the page that the terminal shows.")
		return
	}
	came := returned{code: query.Get("code")}
	if refusal := query.Get("error"); refusal != "" || came.code == "" {
		came = returned{err: fmt.Errorf("the issuer %s did not log you in: %.100q %.300q", b.issuer, refusal, query.Get("error_description"))}
	}
	select {
	case b.came <- came:
	default:
	}
	if came.err != nil {
		page(w, http.StatusOK, "You were not logged in.", "The terminal tells why. You may close this window.")
		return
	}
	page(w, http.StatusOK, "The login goes on in the terminal.", "You may close this window.")
}

// page shows a text to whoever looks at the browser.
func page(w http.ResponseWriter, status int, title, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Larder</title></head><body><h1>%s</h1><p>%s</p></body></html>\n",
		template.HTMLEscapeString(title), template.HTMLEscapeString(text))
}

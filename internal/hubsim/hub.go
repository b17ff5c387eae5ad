package hubsim

import (
	"fmt"
	"net/http"
	"sync"
)

// Hub is a running simulation. Its methods are safe for concurrent use.
type Hub struct {
	options  Options
	store    *store
	signer   *signer
	meter    *meter
	recorder *recorder
	faults   *faultBoard
	issuer   *certificateAuthority // nil without TLS

	registry, auth, cdn *origin

	gate    sync.Mutex // guards closed, and entering requests against it
	closed  bool
	closing chan struct{}
	serving sync.WaitGroup
}

// Start listens and serves until Close. An error says which address could not
// be listened on, or what is wrong with the options.
func Start(options Options) (*Hub, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("starting a simulated registry: %w", err)
	}
	h := &Hub{
		options:  options,
		store:    newStore(),
		signer:   newSigner(),
		meter:    newMeter(options.Window),
		recorder: &recorder{},
		faults:   &faultBoard{},
		closing:  make(chan struct{}),
	}
	if options.TLS {
		if h.issuer, err = newCertificateAuthority(options.Hostname); err != nil {
			return nil, fmt.Errorf("starting a simulated registry: %w", err)
		}
	}
	if err := h.listen(); err != nil {
		h.Close()
		return nil, fmt.Errorf("starting a simulated registry: %w", err)
	}
	if options.Shape == DockerHub {
		h.AddImage("ratelimitpreview/test", "latest", Image{LayerSizes: []int64{4096}})
	}
	for _, o := range h.origins() {
		o.serve()
	}
	return h, nil
}

func (h *Hub) listen() error {
	for _, place := range []struct {
		origin  **origin
		service Service
		addr    string
		next    handler
	}{
		{&h.registry, Registry, h.options.RegistryAddr, h.serveRegistry},
		{&h.auth, Auth, h.options.AuthAddr, h.serveAuth},
		{&h.cdn, CDN, h.options.CDNAddr, h.serveCDN},
	} {
		o, err := listen(place.service, place.addr, h.options.Hostname, h.issuer, h.entrance(place.service, place.next))
		if err != nil {
			return fmt.Errorf("listening for the %s on %s: %w", place.service, place.addr, err)
		}
		*place.origin = o
	}
	return nil
}

// Close stops serving, breaks what is still being transferred, ends every
// fault, and returns when all goroutines have ended.
func (h *Hub) Close() {
	h.gate.Lock()
	already := h.closed
	h.closed = true
	h.gate.Unlock()
	if !already {
		close(h.closing)
	}
	for _, o := range h.origins() {
		o.shutdown()
	}
	h.serving.Wait()
}

func (h *Hub) origins() []*origin {
	var all []*origin
	for _, o := range []*origin{h.registry, h.auth, h.cdn} {
		if o != nil {
			all = append(all, o)
		}
	}
	return all
}

// URL is the registry's origin, such as http://127.0.0.1:40001.
func (h *Hub) URL() string { return h.registry.url }

// AuthURL is the origin of the token service; the realm is /token there.
func (h *Hub) AuthURL() string {
	if h.options.TokensOnRegistry {
		return h.registry.url
	}
	return h.auth.url
}

// CDNURL is the origin that blobs are redirected to.
func (h *Hub) CDNURL() string { return h.cdn.url }

// CAPEM is the certificate of the authority that signed the servers'
// certificates, in PEM; nil without TLS.
func (h *Hub) CAPEM() []byte {
	if h.issuer == nil {
		return nil
	}
	return h.issuer.pem
}

// handler answers a request whose target and caller are already known.
type handler func(w http.ResponseWriter, r *http.Request, t target, c caller)

// entrance is what every request passes: it is recorded, then meets the
// faults, then the service.
func (h *Hub) entrance(service Service, next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.enter() {
			panic(http.ErrAbortHandler)
		}
		defer h.serving.Done()
		t := h.parse(service, r)
		c := h.identify(t, r)
		entry := h.recorder.arrive(t, c, r)
		if service == CDN && r.Header.Get("Authorization") != "" {
			h.recorder.leak(r.Method + " " + t.label)
		}
		answer, done := h.meetFaults(&recordingWriter{ResponseWriter: w, recorder: h.recorder, entry: entry}, r, t, c)
		if !done {
			next(answer, r, t, c)
		}
	})
}

// enter counts a request in, unless the simulation is closing: a handler of
// HTTP/2 may start after its connection was closed.
func (h *Hub) enter() bool {
	h.gate.Lock()
	defer h.gate.Unlock()
	if h.closed {
		return false
	}
	h.serving.Add(1)
	return true
}

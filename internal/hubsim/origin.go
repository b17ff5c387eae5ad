package hubsim

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Service names one of the three parts of the simulation.
type Service string

// The services.
const (
	Registry Service = "registry"
	Auth     Service = "auth"
	CDN      Service = "cdn"
)

// origin is one listener with its server. It is the server's net.Listener, so
// that a fault can refuse connections without giving up the port.
type origin struct {
	net.Listener
	service Service
	url     string
	server  *http.Server
	running sync.WaitGroup // the accept loop and every connection

	mu             sync.Mutex
	down           int // faults that refuse connections
	badCertificate int // faults that show the expired certificate
	refused        int64
	connections    map[*connection]struct{}
}

func listen(service Service, addr, hostname string, issuer *certificateAuthority, handler http.Handler) (*origin, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	o := &origin{Listener: listener, service: service, connections: map[*connection]struct{}{}}
	o.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		ConnState:         o.follow,
		// Handshakes that fail because of a fault are no news to anybody.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	scheme := "http"
	if issuer != nil {
		scheme = "https"
		o.server.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12,
			// A resumed session would skip the certificate, and so a fault.
			SessionTicketsDisabled: true,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return o.certificate(issuer), nil
			},
		}
	}
	o.url = fmt.Sprintf("%s://%s", scheme, reachable(listener.Addr(), hostname))
	return o, nil
}

// reachable is the host and port to dial: under the hostname if there is one,
// and never a wildcard address.
func reachable(addr net.Addr, hostname string) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(orDefault(hostname, host), port)
}

func (o *origin) serve() {
	o.running.Go(func() {
		// Serve always ends with an error; after shutdown it has nothing to say.
		if o.server.TLSConfig != nil {
			_ = o.server.ServeTLS(o, "", "")
			return
		}
		_ = o.server.Serve(o)
	})
}

func (o *origin) shutdown() {
	_ = o.server.Close()
	// The server knows its listener only once it serves.
	_ = o.Close()
	o.running.Wait()
}

// follow counts connections: the server adds one before its goroutine starts
// and removes it as the goroutine's last act.
func (o *origin) follow(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.running.Add(1)
	case http.StateClosed, http.StateHijacked:
		o.running.Done()
	}
}

// Accept returns the next connection that no fault refuses.
func (o *origin) Accept() (net.Conn, error) {
	for {
		conn, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := o.admit(conn); admitted != nil {
			return admitted, nil
		}
		reset(conn)
	}
}

func (o *origin) admit(conn net.Conn) net.Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down > 0 {
		o.refused++
		return nil
	}
	c := &connection{Conn: conn, origin: o}
	o.connections[c] = struct{}{}
	return c
}

// disturb changes how many faults of each sort are on, and drops what is
// connected, so that the change is felt by the very next request.
func (o *origin) disturb(down, badCertificate int) {
	o.mu.Lock()
	o.down += down
	o.badCertificate += badCertificate
	dropped := make([]*connection, 0, len(o.connections))
	for c := range o.connections {
		dropped = append(dropped, c)
	}
	o.mu.Unlock()
	for _, c := range dropped {
		reset(c.Conn)
	}
}

func (o *origin) certificate(issuer *certificateAuthority) *tls.Certificate {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.badCertificate > 0 {
		return &issuer.expired
	}
	return &issuer.valid
}

func (o *origin) refusals() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refused
}

// connection forgets itself when it is closed.
type connection struct {
	net.Conn
	origin *origin
}

// Close closes the connection.
func (c *connection) Close() error {
	c.origin.mu.Lock()
	delete(c.origin.connections, c)
	c.origin.mu.Unlock()
	return c.Conn.Close()
}

// reset closes a connection with RST, as a host without the service does.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

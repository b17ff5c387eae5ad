package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// renewalWindow is how long before its end a certificate of our own is replaced.
	renewalWindow = 30 * 24 * time.Hour
	// renewalPause lies between two attempts, so that a full disk does not cost
	// every handshake one.
	renewalPause = time.Minute
)

// Certificates hands out the server certificate, and a newer one as soon as there
// is one. It is safe for concurrent use.
type Certificates struct {
	load    func() (*tls.Certificate, error)
	current atomic.Pointer[tls.Certificate]

	// What follows is for certificates that renew themselves; now is nil for others.
	now     func() time.Time
	log     *slog.Logger
	mu      sync.Mutex
	retryAt time.Time // guarded by mu
}

// Reload loads what there is now. After an error the certificate from before goes on
// being served.
func (c *Certificates) Reload() error {
	fresh, err := c.load()
	if err != nil {
		return fmt.Errorf("loading the server certificate: %w", err)
	}
	c.current.Store(fresh)
	return nil
}

// TLSConfig is for a listener. It speaks TLS 1.2 and later.
func (c *Certificates) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: c.get,
	}
}

func (c *Certificates) ends() time.Time { return c.current.Load().Leaf.NotAfter }

func (c *Certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.now != nil && endsSoon(c.current.Load(), c.now()) {
		c.renew(c.now())
	}
	return c.current.Load(), nil
}

// renew replaces the certificate. Handshakes that come meanwhile get the old one.
func (c *Certificates) renew(now time.Time) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if now.Before(c.retryAt) || !endsSoon(c.current.Load(), now) {
		return
	}
	c.retryAt = now.Add(renewalPause)
	if err := c.Reload(); err != nil {
		c.log.Error("the server certificate cannot be renewed", "error", err, "ends", c.current.Load().Leaf.NotAfter)
	}
}

func endsSoon(certificate *tls.Certificate, now time.Time) bool {
	return now.Add(renewalWindow).After(certificate.Leaf.NotAfter)
}

// readPair reads a certificate and its key.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	chain, err := ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

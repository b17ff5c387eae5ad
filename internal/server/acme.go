package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// firstACMEPause and longestACMEPause bound the pauses between tries to obtain a
	// certificate, which double: authorities allow a few failures an hour.
	firstACMEPause   = time.Minute
	longestACMEPause = 6 * time.Hour
)

// acmeCertificates serves certificates that an authority issues by itself (ACME,
// RFC 8555), obtained after the start and renewed long before they end. A server whose
// authority cannot be reached starts all the same, with what it has.
type acmeCertificates struct {
	settings ACME
	config   *certmagic.Config
	cache    *certmagic.Cache
	pause    time.Duration // before the second try
	log      *slog.Logger
}

// newACME prepares certificates that are kept in a folder. A pause of zero is a minute.
// Close ends their upkeep.
func newACME(settings ACME, folder string, pause time.Duration, log *slog.Logger) *acmeCertificates {
	a := &acmeCertificates{settings: settings, pause: cmp.Or(pause, firstACMEPause), log: log}
	logger := zap.New(acmeLog{to: log})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           logger,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: folder},
		// Health checks and old clients name no server, or one that no certificate has.
		DefaultServerName:  settings.Domains[0],
		FallbackServerName: settings.Domains[0],
		Logger:             logger,
	})
	return a
}

// answerAt says at which address of this server the authority's questions arrive: that
// is where they are answered (RFC 8737), and on port 80 of the same host (RFC 8555,
// §8.3). It is called before the first connection is served.
func (a *acmeCertificates) answerAt(address net.Addr) error {
	roots, err := withAuthorities(a.settings.CA)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return fmt.Errorf("reading the listener's address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return fmt.Errorf("reading the listener's port: %w", err)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ""
	}
	directory := certmagic.LetsEncryptProductionCA
	if a.settings.Directory != nil {
		directory = a.settings.Directory.String()
	}
	a.config.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA: directory, Email: a.settings.Email, Agreed: true, TrustedRoots: roots,
		ListenHost: host, AltTLSALPNPort: number, Logger: a.config.Logger,
	})}
	return nil
}

// withAuthorities are the system's roots and those of a PEM file; nil, which means the
// system's, without a file.
func withAuthorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading tls.acme.ca: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("tls.acme.ca holds no certificate")
	}
	return roots, nil
}

// manage obtains what is missing until ctx ends. Renewals are the cache's work.
func (a *acmeCertificates) manage(ctx context.Context) {
	var obtaining sync.WaitGroup
	for _, domain := range a.settings.Domains {
		obtaining.Go(func() { a.obtain(ctx, domain) })
	}
	obtaining.Wait()
}

func (a *acmeCertificates) obtain(ctx context.Context, domain string) {
	for pause := a.pause; ; pause = min(2*pause, longestACMEPause) {
		err := a.config.ManageSync(ctx, []string{domain})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			a.log.Info("the certificate is in use", "domain", domain)
			return
		}
		a.log.Error("no certificate could be obtained: see that the name leads to this server, and that port 443 or 80 of it can be reached from the internet",
			"domain", domain, "error", err, "next_try_in", pause.String())
		if sleep.For(ctx, pause) != nil {
			return
		}
	}
}

// TLSConfig is for a listener. It speaks TLS 1.2 and later, and answers the authority.
func (a *acmeCertificates) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", acmeTLSProtocol},
		GetCertificate: a.config.GetCertificate,
	}
}

// acmeTLSProtocol is what an authority speaks that looks for the answer in the
// handshake (RFC 8737, §6.2).
const acmeTLSProtocol = "acme-tls/1"

// Reload has nothing to read: certificates are renewed as they come near their end.
func (a *acmeCertificates) Reload() error { return nil }

func (a *acmeCertificates) ends() (first time.Time) {
	for _, domain := range a.settings.Domains {
		for _, c := range a.cache.AllMatchingCertificates(domain) {
			if at := c.Leaf.NotAfter; first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	return first
}

// Close ends the upkeep of certificates and waits for it.
func (a *acmeCertificates) Close() { a.cache.Stop() }

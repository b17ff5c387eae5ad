package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"time"
)

// listen opens every listener that the configuration asks for.
func (s *Server) listen(ctx context.Context) error {
	main := s.serve(func(g *generation) http.Handler { return g.main })
	if err := s.open(ctx, "main", "--listen", s.config.Listen, main); err != nil {
		return err
	}
	if address := s.config.Mirror.Listen; address != "" {
		mirror := s.serve(func(g *generation) http.Handler { return g.mirror })
		if err := s.open(ctx, "mirror", "--mirror-listen", address, mirror); err != nil {
			return err
		}
	}
	if address := s.config.Metrics.Listen; address != "" {
		metrics := s.serve(func(g *generation) http.Handler { return g.metrics })
		if err := s.open(ctx, "metrics", "metrics.listen", address, metrics); err != nil {
			return err
		}
	}
	if address := s.config.Kubernetes.Listen; address != "" {
		webhook := s.serve(func(g *generation) http.Handler { return g.webhook })
		return s.openWith(ctx, s.webhookCerts, "webhook", "kubernetes.listen", address, webhook)
	}
	return nil
}

func (s *Server) open(ctx context.Context, name, setting, address string, handler http.Handler) error {
	return s.openWith(ctx, s.certs, name, setting, address, handler)
}

// openWith opens a listener with certificates; nil is for plain HTTP.
func (s *Server) openWith(ctx context.Context, certs certificates, name, setting, address string, handler http.Handler) error {
	opened, err := Listen(ctx, setting, address)
	if err != nil {
		return err
	}
	if certs != nil {
		opened = tls.NewListener(opened, certs.TLSConfig())
	}
	s.listeners = append(s.listeners, &listener{
		Listener: opened,
		name:     name,
		tls:      certs != nil,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: headerTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          newErrorLog(s.log),
		},
	})
	return nil
}

// certificates is what the listeners' TLS needs.
type certificates interface {
	TLSConfig() *tls.Config
	Reload() error
	ends() time.Time // of the one that is shown, or of that which ends first; zero: there is none yet
}

// certificates makes what the listeners' TLS needs, nil for plain HTTP.
func (f *floor) certificates(config Config, tuning Tuning) (certificates, error) {
	switch {
	case len(config.TLS.ACME.Domains) > 0:
		return newACME(config.TLS.ACME, f.Data.Path("tls", "acme"), tuning.ACMEPause, f.log), nil
	case config.TLS.CertFile != "":
		certificates, err := newFileCertificates(config.TLS.CertFile, config.TLS.KeyFile, f.log)
		if err != nil {
			return nil, fmt.Errorf("tls.certFile and tls.keyFile: %w: write the paths of a certificate and its key in PEM form", err)
		}
		return certificates, nil
	case config.TLS.SelfSigned:
		hostname, err := os.Hostname()
		if err != nil {
			f.log.Warn("the certificate is made without this machine's name", "error", err)
		}
		return SelfSigned(f.Data.Path("tls"), CertificateNames(config, hostname), time.Now, f.log)
	}
	return nil, nil
}

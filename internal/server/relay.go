package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/kube"
)

const (
	// relayConnect is how long a connection to the registry may take to come about.
	relayConnect = 500 * time.Millisecond
	// relayShutdown is how long reviews under way are waited for at the end.
	relayShutdown = 5 * time.Second
)

// RelayConfig says how a relay of the admission webhook is reached, and whom it asks.
type RelayConfig struct {
	Listen string // HOST:PORT
	// To is where the registry's kubernetes.listen is reached, https://HOST:PORT.
	To *url.URL
	// Secret is that of the registry's kubernetes.secret, whose certificate is shown and
	// whose authority is trusted; nil: those of Files are.
	Secret *SecretName
	// Names are those by which the API server reaches the relay. They are for the Secret.
	Names []string
	Files RelayFiles
	// Kubeconfig is a file; empty: the pod's service account.
	Kubeconfig string
	Log        *slog.Logger
}

// RelayFiles are PEM files that somebody else renews, such as cert-manager.
type RelayFiles struct {
	Cert, Key string
	CA        string // what the registry's certificate comes from
}

// relayCertificates is what a relay shows, and what it trusts.
type relayCertificates interface {
	certificates
	trusted() ([]byte, error) // PEM
	watch(ctx context.Context)
}

// relay is a relay that runs.
type relay struct {
	certificates relayCertificates
	listener     net.Listener
	server       *http.Server
}

// RunRelay serves until ctx ends.
func RunRelay(ctx context.Context, c RelayConfig) error {
	r, err := newRelay(ctx, c)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { r.certificates.watch(background) })
	failed := make(chan error, 1)
	work.Go(func() { failed <- r.server.Serve(r.listener) })
	c.Log.Info("listening", "listener", "webhook", "address", r.listener.Addr().String(), "to", c.To.String())
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	finish, cancel := context.WithTimeout(background, relayShutdown)
	err = errors.Join(err, r.server.Shutdown(finish))
	cancel()
	stop()
	work.Wait()
	return err
}

func newRelay(ctx context.Context, c RelayConfig) (*relay, error) {
	certs, err := newRelayCertificates(c)
	if err != nil {
		return nil, err
	}
	opened, err := Listen(ctx, "--listen", c.Listen)
	if err != nil {
		return nil, err
	}
	return &relay{
		certificates: certs,
		listener:     tls.NewListener(opened, certs.TLSConfig()),
		server: &http.Server{
			Handler:           relayHandler(c, certs),
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       headerTimeout,
			WriteTimeout:      headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          newErrorLog(c.Log),
		},
	}, nil
}

func newRelayCertificates(c RelayConfig) (relayCertificates, error) {
	if c.Secret == nil {
		files, err := newFileCertificates(c.Files.Cert, c.Files.Key, c.Log)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w: name a certificate and its key in PEM form", err)
		}
		trusting := &trustingFiles{files, c.Files.CA}
		if _, err := trusting.trusted(); err != nil {
			return nil, err
		}
		return trusting, nil
	}
	objects, err := kube.OpenObjects(kube.Config{Kubeconfig: c.Kubeconfig, UserAgent: "larder"})
	if err != nil {
		return nil, fmt.Errorf("the Secret %s: %w", c.Secret, err)
	}
	return &sharedCertificates{
		objects: objects, secret: *c.Secret, names: append([]string{c.To.Hostname()}, c.Names...), now: time.Now, log: c.Log,
	}, nil
}

// trustingFiles trusts the authorities in another file, whichever these are just now.
type trustingFiles struct {
	*fileCertificates
	caFile string
}

func (t *trustingFiles) trusted() ([]byte, error) {
	text, err := ReadFile(t.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w: name a PEM file with what the registry's certificate comes from; cert-manager writes it as ca.crt where its issuer has a CA", err)
	}
	return text, nil
}

func relayHandler(c RelayConfig, certs relayCertificates) http.Handler {
	metrics := prometheus.NewRegistry()
	measureExpiry(metrics, map[string]certificates{"webhook": certs})
	handler := http.NewServeMux()
	handler.Handle(admission.Path, admission.NewRelay(admission.RelayConfig{
		To: c.To.JoinPath(admission.Path).String(), Client: relayClient(certs.trusted), Now: time.Now,
		Metrics: admission.NewMetrics(metrics, nil), Log: c.Log,
	}))
	handler.Handle("/metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	handler.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	return handler
}

// relayClient trusts what is trusted when it connects.
func relayClient(trusted func() ([]byte, error)) *http.Client {
	dialer := net.Dialer{Timeout: relayConnect}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 32,
			IdleConnTimeout:     idleTimeout,
			DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				authorities, err := trusted()
				if err != nil {
					return nil, err
				}
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM(authorities)
				secure := tls.Dialer{NetDialer: &dialer, Config: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}}
				return secure.DialContext(ctx, network, address)
			},
		},
	}
}

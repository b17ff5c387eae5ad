package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/credentials"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/rewriting"
	"github.com/larder-registry/larder/internal/telemetry"
	"github.com/larder-registry/larder/internal/warm"
)

// Limits of every listener.
const (
	headerTimeout = 10 * time.Second
	// writeTimeout is for all but images, which move their own deadline along.
	writeTimeout   = 2 * time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// Options is what a server gets from its program rather than from its configuration.
type Options struct {
	Version, Commit string
	// AdminPassword is given to the user admin on the first start; empty: one is made.
	AdminPassword string
	Log           *slog.Logger
	// LogLevel is set anew when the configuration is reloaded; nil: it stays.
	LogLevel *slog.LevelVar
	// Notices receives what a person has to read: the admin's first password, how to
	// trust a certificate, where to begin.
	Notices io.Writer
	// Tuning shortens what tests would have to wait for.
	Tuning Tuning
}

// Server is a running Larder.
type Server struct {
	config  Config // as started; what a reload may change lives in current
	options Options
	log     *slog.Logger

	floor     *floor
	key       credentials.KeySource // by which secrets are encrypted
	lender    *lender
	hooks     *events.Hooks // deliver to webhooks
	refresher *warm.Refresher
	retired   sync.WaitGroup // generations that still answer their last requests
	mu        sync.RWMutex
	current   *generation
	reloading sync.Mutex // held by a reload, and by the end, so that they do not meet
	ended     bool

	listeners []*listener
	certs     certificates // nil for plain HTTP
	// webhookCerts are those of the admission webhook; nil where there is none.
	webhookCerts certificates
	began        time.Time
	admission    *admission.Metrics
	clusterPods  *rewriting.Gauges
	nodePulls    *rewriting.NodePulls
	health       health
	draining     atomic.Bool
	acme         *acmeCertificates // those of certs, where they come from an authority
	probing      chan struct{}     // held by the one readiness check that reads from storage
	metrics      *prometheus.Registry
	requests     *telemetry.Metrics
	overall      *overallLimit
}

// listener is one address and what answers on it.
type listener struct {
	net.Listener
	name   string
	tls    bool
	server *http.Server
}

// New opens the data folder and the listeners. Run serves on them; when New fails,
// everything it opened is closed again.
func New(ctx context.Context, config Config, options Options) (_ *Server, err error) {
	options.Tuning.Ready = cmp.Or(options.Tuning.Ready, readyWithin)
	if options.Tuning.Now == nil {
		options.Tuning.Now = time.Now
	}
	s := &Server{config: config, options: options, log: options.Log, metrics: newMetrics(), probing: make(chan struct{}, 1), began: options.Tuning.Now()}
	s.requests = telemetry.NewMetrics(s.metrics)
	s.admission = admission.NewMetrics(s.metrics, options.Tuning.Now)
	s.clusterPods = rewriting.NewGauges(s.metrics)
	s.overall = newOverallLimit(options.Tuning.Now, s.metrics, s.log)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.nodePulls, err = rewriting.NewNodePulls(s.metrics, options.Tuning.Now); err != nil {
		return nil, err
	}
	if s.floor, err = openFloor(ctx, config, options, s.metrics); err != nil {
		return nil, err
	}
	s.floor.forget, s.floor.budgets = s.evicted, s.budgets
	s.key = s.floor.credentialKey(config.CredentialKey)
	s.lender = &lender{server: s, keeper: credentials.New(s.floor.DB.Credentials, s.key, options.Tuning.Now)}
	s.hooks = s.newHooks()
	s.refresher = s.newRefresher()
	if s.certs, err = s.floor.certificates(config, options.Tuning); err != nil {
		return nil, err
	}
	s.acme, _ = s.certs.(*acmeCertificates)
	if s.webhookCerts, err = s.floor.webhookCertificates(config); err != nil {
		return nil, err
	}
	measureExpiry(s.metrics, map[string]certificates{"main": s.certs, "webhook": s.webhookCerts})
	if s.current, err = s.newGeneration(ctx, config); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if s.acme != nil {
		if err := s.acme.answerAt(s.Addr()); err != nil {
			return nil, err
		}
	}
	// Last, because a password that was made is shown once, and a start that fails
	// does not show it.
	madePassword, err := s.floor.who.EnsureAdmin(ctx, options.AdminPassword)
	if err != nil {
		return nil, fmt.Errorf("making the user admin: %w", err)
	}
	return s, s.notice(madePassword)
}

// Run serves until ctx ends, then lets the transfers under way finish within the
// shutdown timeout and closes everything.
func (s *Server) Run(ctx context.Context) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { s.floor.DB.Watch(background, s.floor.ledger.Hear, s.log) })
	work.Go(func() { s.floor.maintain(background) })
	work.Go(func() { s.floor.collect(background) })
	work.Go(func() { s.floor.evict.Watch(background) })
	work.Go(func() { s.floor.pulls.Run(background) })
	work.Go(func() { s.floor.ledger.Run(background) })
	work.Go(func() { s.floor.ledger.Watch(background) })
	work.Go(func() { s.floor.failures.Run(background) })
	work.Go(func() { s.floor.limits.Run(background) })
	work.Go(func() { s.floor.shares.Run(background) })
	work.Go(func() { s.lender.watch(background) })
	work.Go(func() { s.floor.who.Run(background, s.log) })
	work.Go(func() { s.retain(background) })
	work.Go(func() { s.importer().Run(background) })
	work.Go(func() { s.tellWebhooks(background) })
	work.Go(func() { s.refreshTags(background) })
	if s.acme != nil {
		work.Go(func() { s.acme.manage(background) })
	}
	if s.config.Kubernetes.Listen != "" {
		work.Go(func() { s.watchHealth(background) })
	}
	for _, certs := range []certificates{s.certs, s.webhookCerts} {
		if renewed, ok := certs.(interface{ watch(context.Context) }); ok {
			work.Go(func() { renewed.watch(background) })
		}
	}
	for _, w := range s.floor.clusterWork {
		work.Go(func() { s.floor.workOnCluster(background, w) })
	}
	if s.config.Kubernetes.PinRunning > 0 {
		work.Go(func() { s.pinRunning(background) })
	}
	if s.floor.cluster != nil {
		work.Go(func() { s.floor.checkCluster(background) })
	}
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		s.log.Info("listening", "listener", l.name, "address", l.Addr().String(), "tls", l.tls)
		work.Go(func() { failed <- l.serve() })
	}
	var err error
	select {
	case <-ctx.Done():
		s.log.Info("shutting down", "timeout", s.config.ShutdownTimeout.String())
	case err = <-failed:
	}
	s.stopRewriting()
	s.drain()
	stopBackground()
	work.Wait()
	s.close()
	return err
}

func (l *listener) serve() error {
	err := l.server.Serve(l.Listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the %s listener on %s: %w", l.name, l.Addr(), err)
}

// drain takes no new connections and waits for the requests under way; those that
// last longer than the shutdown timeout are cut off.
func (s *Server) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.ShutdownTimeout)
	defer cancel()
	var work sync.WaitGroup
	for _, l := range s.listeners {
		work.Go(func() {
			if err := l.server.Shutdown(ctx); err != nil {
				s.log.Warn("transfers were cut off", "listener", l.name, "error", err)
				_ = l.server.Close()
			}
		})
	}
	work.Wait()
}

// close ends what New opened, from top to bottom. It may be called on a server that
// was opened in part only.
func (s *Server) close() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.ended = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	if s.acme != nil {
		s.acme.Close()
	}
	if s.floor == nil {
		return
	}
	s.floor.endFills() // before the generations, which wait for those that read from their upstreams
	if s.current != nil {
		s.current.close()
	}
	s.retired.Wait()
	s.floor.close()
}

// Addr is the address of the main listener.
func (s *Server) Addr() net.Addr { return s.addr("main") }

// MirrorAddr is the address of the mirror listener, nil when it is off.
func (s *Server) MirrorAddr() net.Addr { return s.addr("mirror") }

func (s *Server) addr(name string) net.Addr {
	for _, l := range s.listeners {
		if l.name == name {
			return l.Addr()
		}
	}
	return nil
}

package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// healthPause lies between two looks at whether images can be served.
	healthPause = 2 * time.Second
	// visibilityWithin is how long the webhook waits for what is known of an image: the
	// API server waits for two seconds in all.
	visibilityWithin = 50 * time.Millisecond
)

var (
	errUnknownHealth = errors.New("it has not been found out yet whether images can be served")
	errDraining      = errors.New("this server is shutting down")
)

// health is whether images can be served, as it was seen last. The webhook asks it, which
// has no time to look.
type health struct{ last atomic.Pointer[error] }

func (h *health) set(err error) { h.last.Store(&err) }

func (h *health) get() error {
	if last := h.last.Load(); last != nil {
		return *last
	}
	return errUnknownHealth
}

// watchHealth looks until the context ends.
func (s *Server) watchHealth(ctx context.Context) {
	again := time.NewTicker(healthPause)
	defer again.Stop()
	for {
		looking, cancel := context.WithTimeout(ctx, s.options.Tuning.Ready)
		err := s.probe(looking)
		cancel()
		if !s.draining.Load() {
			s.health.set(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// stopRewriting lets pods that are made from now on keep their images.
func (s *Server) stopRewriting() {
	s.draining.Store(true)
	s.health.set(errDraining)
}

// webhook answers reviews of pods by one configuration.
func (s *Server) webhook(config Config, names *names) http.Handler {
	if config.Kubernetes.Listen == "" {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			say(w, http.StatusNotFound, "The admission webhook is off: its address is kubernetes.listen in the configuration.\n")
		})
	}
	rules := names.rules(config)
	return admission.New(admission.Config{
		Rules: rules, OptOut: config.Kubernetes.OptOut, Warn: config.Kubernetes.Warn,
		Ready: s.health.get, Public: func(image string) bool { return names.knownPublic(rules, image) },
		Local:  s.localImage,
		Coming: func(p admission.Pull) { names.announce(s.floor.ledger, p) }, Metrics: s.admission, Log: s.log,
	})
}

// localImage finds the image that a short name of a pod means. What cannot be found out is
// left to what the name means elsewhere.
func (s *Server) localImage(ctx context.Context, image metadata.LocalImage) (digest.Digest, bool) {
	d, err := s.floor.DB.Repositories.Local(ctx, image)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		s.log.Warn("a short name of a pod was not looked up", "repository", image.Repository, "error", err)
	}
	return d, err == nil
}

// rewriting is what clusters are told.
func (s *Server) rewriting(config Config, names *names) api.Rewriting {
	return api.Rewriting{Rules: names.rules(config), OptOut: config.Kubernetes.OptOut, Webhook: s.webhookCerts != nil, CA: s.webhookCA}
}

// webhookCA is what the webhook's certificate comes from. It is empty where that is none
// of this server's own.
func (s *Server) webhookCA() ([]byte, error) {
	switch certs := s.webhookCerts.(type) {
	case nil:
		return nil, nil
	case *sharedCertificates:
		return certs.authorityPEM(), nil
	}
	if s.config.Kubernetes.CertFile != "" {
		return nil, nil
	}
	ca, err := os.ReadFile(AuthorityFile(s.floor.webhookFolder()))
	if err != nil {
		return nil, fmt.Errorf("reading the authority of the webhook's certificate: %w", err)
	}
	return ca, nil
}

// rules are those by which images of all upstreams are rewritten. Without a public URL
// there is no host in them.
func (n *names) rules(config Config) mirror.Rules {
	rules := mirror.Rules{Caches: map[string]string{}}
	if config.PublicURL != nil {
		rules.Host = config.PublicURL.Host
	}
	for registry, project := range n.registries {
		rules.Caches[strings.ToLower(registry)] = project
	}
	return rules
}

// knownPublic tells whether an image of an upstream is known to be shown to strangers. It
// asks no upstream.
func (n *names) knownPublic(rules mirror.Rules, image string) bool {
	name, ok := rules.Repository(image)
	if !ok {
		return false
	}
	project, _, _ := strings.Cut(name, "/")
	cache, ok := n.caches[project]
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), visibilityWithin)
	defer cancel()
	return cache.cache.KnownPublic(ctx, oci.Repository(name))
}

// announce tells the ledger for which namespace an image of an upstream will be pulled.
func (n *names) announce(to *ledger.Ledger, p admission.Pull) {
	name, digest, _ := strings.Cut(p.Image, "@")
	tag := ""
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, tag = name[:colon], name[colon+1:]
	}
	project, rest, _ := strings.Cut(name, "/")
	cache, ok := n.caches[project]
	if !ok {
		return
	}
	target, err := cache.target(project, rest, "")
	if err != nil {
		return // the pull will fail
	}
	if tag == "" && digest == "" {
		tag = "latest"
	}
	to.Announce(ledger.Coming{
		Upstream: project, Repository: target.Repository.Rest(), Tag: tag, Digest: digest, Namespace: p.Namespace, Workload: p.Workload,
	})
}

// webhookCertificates makes what the webhook's TLS needs: an API server speaks nothing else.
// They are nil where there is no webhook.
func (f *floor) webhookCertificates(config Config) (certificates, error) {
	k := config.Kubernetes
	if k.Listen == "" {
		return nil, nil
	}
	if k.CertFile != "" {
		certificates, err := newFileCertificates(k.CertFile, k.KeyFile, f.log)
		if err != nil {
			return nil, fmt.Errorf("kubernetes.tls: %w: write the paths of a certificate and its key in PEM form", err)
		}
		return certificates, nil
	}
	if k.Secret != nil {
		return f.sharedCertificates(config)
	}
	hostname, err := os.Hostname()
	if err != nil {
		f.log.Warn("the webhook's certificate is made without this machine's name", "error", err)
	}
	return SelfSigned(f.webhookFolder(), webhookNames(config, hostname), time.Now, f.log)
}

func (f *floor) sharedCertificates(config Config) (certificates, error) {
	k := config.Kubernetes
	objects, err := kube.OpenObjects(kube.Config{Kubeconfig: k.Kubeconfig, UserAgent: "larder"})
	if err != nil {
		return nil, fmt.Errorf("kubernetes.secret: %w", err)
	}
	names := append(serviceNames(), append(k.Names, config.PublicURL.Hostname())...)
	return &sharedCertificates{objects: objects, secret: *k.Secret, names: names, now: time.Now, log: f.log}, nil
}

func (f *floor) webhookFolder() string { return f.Data.Path("tls", "webhook") }

// webhookNames are those by which an API server reaches the webhook: of the service in the
// documentation's manifests, of the listener, of this machine, and what is configured.
func webhookNames(config Config, hostname string) []string {
	config.Listen = config.Kubernetes.Listen
	return append(serviceNames(), append(config.Kubernetes.Names, CertificateNames(config, hostname)...)...)
}

func serviceNames() []string {
	service := "larder-webhook." + ownNamespace
	return []string{service + ".svc", service}
}

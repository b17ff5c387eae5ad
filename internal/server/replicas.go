package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// workLease is how long a transfer waits for a replica that was killed.
	workLease = 10 * time.Second
	// replicaDial, replicaHeaders and replicaStall bound how long another replica is
	// waited for: to take the connection, to answer, and to send more. The last is longer
	// than a lease, so that who meets a dead one can take its work over at once.
	replicaDial    = 2 * time.Second
	replicaHeaders = 10 * time.Second
	replicaStall   = 15 * time.Second
	// maxReplicaConnections bounds the transfers that are followed at once from one replica.
	maxReplicaConnections = 512
)

// replicas are the other processes on the same database and storage. It is what
// pullthrough calls Peers.
type replicas struct {
	advertise string // how they reach this one
	leases    *metadata.Leases
	who       *authn.Authenticator
	client    *http.Client
	log       *slog.Logger
}

func newReplicas(advertise *url.URL, leases *metadata.Leases, who *authn.Authenticator, log *slog.Logger) *replicas {
	return &replicas{advertise: advertise.String(), leases: leases, who: who, log: log, client: &http.Client{
		Transport: &http.Transport{ // no proxy: replicas reach each other
			DialContext:           (&net.Dialer{Timeout: replicaDial}).DialContext,
			TLSHandshakeTimeout:   replicaDial,
			ResponseHeaderTimeout: replicaHeaders,
			MaxConnsPerHost:       maxReplicaConnections,
			IdleConnTimeout:       idleTimeout,
			DisableCompression:    true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// close drops idle connections.
func (r *replicas) close() { r.client.CloseIdleConnections() }

// Lead implements pullthrough.Peers with a lease.
func (r *replicas) Lead(ctx context.Context, work string) (release func(), err error) {
	lease := metadata.Lease{Name: work, Holder: rand.Text(), Address: r.advertise}
	taken, err := r.leases.Take(ctx, lease, workLease)
	if errors.Is(err, metadata.ErrLeased) {
		return nil, pullthrough.ErrLed
	}
	if err != nil {
		return nil, err
	}
	return func() {
		if err := taken.GiveBack(); err != nil {
			r.log.Warn("a lease was not given back and has to expire", "lease", work, "error", err)
		}
	}, nil
}

// Follow implements pullthrough.Peers.
func (r *replicas) Follow(ctx context.Context, d digest.Digest, offset int64) (*upstream.Body, error) {
	lease, err := r.leases.Get(ctx, pullthrough.FillWork(d))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	body, err := r.follow(ctx, lease.Address, d, offset)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("following the transfer of %s by the replica at %s: %w", d, lease.Address, err)
	}
	body.ReadCloser = &stalling{ReadCloser: body.ReadCloser, cancel: cancel}
	return body, nil
}

func (r *replicas) follow(ctx context.Context, address string, d digest.Digest, offset int64) (*upstream.Body, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+distribution.FillsPath+d.String(), nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	signed := authn.ReplicaRequest{Method: request.Method, Path: request.URL.Path, Range: request.Header.Get("Range")}
	signature, err := r.who.SignReplica(ctx, signed)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", signature)
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := followed(response, offset)
	if err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	return body, nil
}

// followed reads which part of a blob an answer has.
func followed(response *http.Response, offset int64) (*upstream.Body, error) {
	switch response.StatusCode {
	case http.StatusOK:
		return &upstream.Body{ReadCloser: response.Body, Size: response.ContentLength}, nil
	case http.StatusPartialContent:
		var start, end, size int64
		text := response.Header.Get("Content-Range")
		if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &start, &end, &size); err != nil || start != offset {
			return nil, fmt.Errorf("it answered with the range %.80q", text)
		}
		return &upstream.Body{ReadCloser: response.Body, Offset: start, Size: size}, nil
	case http.StatusNotFound:
		return nil, pullthrough.ErrNotFilling
	}
	return nil, fmt.Errorf("it answered %s", response.Status)
}

// stalling is a body whose reads end when nothing comes for a while.
type stalling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (s *stalling) Read(p []byte) (int, error) {
	late := time.AfterFunc(replicaStall, s.cancel)
	defer late.Stop()
	return s.ReadCloser.Read(p)
}

func (s *stalling) Close() error {
	defer s.cancel()
	return s.ReadCloser.Close()
}

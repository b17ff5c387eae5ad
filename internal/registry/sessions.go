package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// sessionPatience is how long a request waits for another one that is writing the
	// same upload, such as one whose client has gone and which is about to notice.
	sessionPatience = 5 * time.Second
	// sessionLease is how long an upload stays with a replica that was killed. Who goes
	// on with the upload elsewhere has the patience to wait for that.
	sessionLease = 4 * time.Second
	// sessionPause is how often a replica looks whether another is done with an upload.
	sessionPause = 100 * time.Millisecond
)

// sessions lets one request at a time work on an upload, over all replicas.
type sessions struct {
	leases *metadata.Leases // nil where there is one process
	holder string

	mu   sync.Mutex
	busy map[string]chan struct{} // by upload; closed when it is free again
}

func newSessions(db *metadata.DB) *sessions {
	s := &sessions{holder: rand.Text(), busy: map[string]chan struct{}{}}
	if db.Shared() {
		s.leases = db.Leases
	}
	return s
}

// turn is the right to work on an upload. It is given back by release.
type turn struct {
	release func()
	// lost has metadata.ErrLeaseLost in its chain once another replica may work on the
	// upload.
	lost func() error
}

// acquire waits for the upload. The error is BLOB_UPLOAD_INVALID, with ErrUploadBusy in
// its chain, when patience ends.
func (s *sessions) acquire(ctx context.Context, id string) (*turn, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, sessionPatience, ErrUploadBusy)
	defer cancel()
	got, err := s.await(waiting, id)
	if errors.Is(err, ErrUploadBusy) {
		return nil, uploadBusy(id, err)
	}
	return got, err
}

func uploadBusy(id string, err error) error {
	return &oci.Error{
		Code:    oci.CodeBlobUploadInvalid,
		Message: "another request is writing upload " + id + ": wait for it, ask for the upload's offset, and go on from there",
		Err:     err,
	}
}

func (s *sessions) await(ctx context.Context, id string) (*turn, error) {
	for {
		free, taken := s.take(id)
		if !taken {
			return s.awaitReplicas(ctx, id)
		}
		select {
		case <-free:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// awaitReplicas waits until no other replica has the upload, which this one has.
func (s *sessions) awaitReplicas(ctx context.Context, id string) (*turn, error) {
	again := time.NewTicker(sessionPause)
	defer again.Stop()
	for {
		got, err := s.lease(ctx, id)
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, metadata.ErrLeased) {
			return nil, cause
		}
		if !errors.Is(err, metadata.ErrLeased) {
			return got, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			s.free(id)
			return nil, context.Cause(ctx)
		}
	}
}

// try is acquire for who does not wait; nil when the upload is being written.
func (s *sessions) try(ctx context.Context, id string) (*turn, error) {
	if _, taken := s.take(id); taken {
		return nil, nil
	}
	got, err := s.lease(ctx, id)
	if errors.Is(err, metadata.ErrLeased) {
		s.free(id)
		return nil, nil
	}
	return got, err
}

// lease makes an upload that this process has this replica's. With ErrLeased, the
// process still has it.
func (s *sessions) lease(ctx context.Context, id string) (*turn, error) {
	if s.leases == nil {
		return &turn{release: func() { s.free(id) }, lost: func() error { return nil }}, nil
	}
	taken, err := s.leases.Take(ctx, metadata.Lease{Name: "upload/" + id, Holder: s.holder}, sessionLease)
	if errors.Is(err, metadata.ErrLeased) {
		return nil, err
	}
	if err != nil {
		s.free(id)
		return nil, fmt.Errorf("keeping upload %s from other replicas: %w", id, err)
	}
	release := func() {
		_ = taken.GiveBack() // else it expires
		s.free(id)
	}
	return &turn{release: release, lost: taken.Lost}, nil
}

func (s *sessions) take(id string) (free chan struct{}, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if free, taken := s.busy[id]; taken {
		return free, true
	}
	s.busy[id] = make(chan struct{})
	return nil, false
}

func (s *sessions) free(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.busy[id])
	delete(s.busy, id)
}

package registry

import (
	"context"
	"errors"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// NewSessionsForTest gives the lock of upload sessions to tests that stop the clock,
// which a database does not bear.
func NewSessionsForTest() func(ctx context.Context, id string) (release func(), err error) {
	sessions := newSessions(&metadata.DB{})
	return func(ctx context.Context, id string) (func(), error) {
		turn, err := sessions.acquire(ctx, id)
		if err != nil {
			return nil, err
		}
		return turn.release, nil
	}
}

// FinishLostUploadForTest is FinishUpload for an upload that another replica took while
// its last bytes came.
func (r *Registry) FinishLostUploadForTest(ctx context.Context, repo oci.Repository, id string, d digest.Digest, body io.Reader) error {
	s, err := r.openSession(ctx, repo, id, nil)
	if err != nil {
		return err
	}
	defer s.release()
	s.lost = func() error { return metadata.ErrLeaseLost }
	return s.finish(ctx, d, body)
}

// FindDamageForTest reads a blob back and returns what sets it aside, for tests of two
// requests that meet the same damage. It returns nil when nothing is wrong.
func (r *Registry) FindDamageForTest(ctx context.Context, row metadata.Blob) func(context.Context) error {
	_, err := r.readBack(ctx, row, r.openKept)
	found, ok := errors.AsType[*damage](err)
	if !ok {
		return nil
	}
	return func(ctx context.Context) error {
		if err := r.setAside(ctx, found); !errors.Is(err, errMended) {
			return err
		}
		return nil
	}
}

package registry

import (
	"context"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// sessionPatience is how long a request waits for another one that is writing the
// same upload, such as one whose client has gone and which is about to notice.
const sessionPatience = 5 * time.Second

// sessions lets one request at a time work on an upload.
type sessions struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // by upload; closed when it is free again
}

func newSessions() *sessions { return &sessions{busy: map[string]chan struct{}{}} }

// acquire waits for the upload and returns the function that gives it back. The
// error is BLOB_UPLOAD_INVALID, with ErrUploadBusy in its chain, when patience ends.
func (s *sessions) acquire(ctx context.Context, id string) (release func(), err error) {
	patience := time.NewTimer(sessionPatience)
	defer patience.Stop()
	for {
		free, taken := s.take(id)
		if !taken {
			return func() { s.release(id) }, nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-patience.C:
			return nil, &oci.Error{
				Code:    oci.CodeBlobUploadInvalid,
				Message: "another request is writing upload " + id + ": wait for it, ask for the upload's offset, and go on from there",
				Err:     ErrUploadBusy,
			}
		}
	}
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

func (s *sessions) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.busy[id])
	delete(s.busy, id)
}

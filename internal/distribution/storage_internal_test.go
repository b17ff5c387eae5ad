package distribution

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/larder-registry/larder/internal/blob"
)

func TestAFailureOfStorageIsExplained(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		retry  bool
	}{
		{"a full disk", syscall.ENOSPC, http.StatusInsufficientStorage, false},
		{"a quota", syscall.EDQUOT, http.StatusInsufficientStorage, false},
		{"a locked database", syscall.EBUSY, http.StatusServiceUnavailable, true},
		{"a disk that turned read-only", syscall.EROFS, http.StatusServiceUnavailable, true},
		{"a disk that fails", syscall.EIO, http.StatusServiceUnavailable, true},
		{"a folder that lost its permissions", syscall.EACCES, http.StatusServiceUnavailable, true},
		{"object storage that is down", blob.ErrUnavailable, http.StatusServiceUnavailable, true},
		{"object storage that lets wait", errors.Join(context.DeadlineExceeded, blob.ErrUnavailable), http.StatusServiceUnavailable, true},
		{"a fault of Larder's own", io.ErrUnexpectedEOF, http.StatusInternalServerError, false},
		{"a broken connection", syscall.ECONNRESET, http.StatusInternalServerError, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := internalError(fmt.Errorf("storing a blob: %w", tt.err))
			if status := statusOf(got); status != tt.status || (got.RetryAfter > 0) != tt.retry {
				t.Errorf("status %d, to be tried again after %s: %s", status, got.RetryAfter, got.Message)
			}
			if got.Message == "" || !errors.Is(got, tt.err) {
				t.Errorf("the error does not say what happened: %v", got)
			}
		})
	}
}

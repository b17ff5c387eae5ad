package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/larder-registry/larder/internal/blob"
)

// strayRemover is a driver whose uploads can be left behind by a process that was
// killed before it could save them.
type strayRemover interface {
	RemoveStrayUploads(ctx context.Context, saved [][]byte) (removed int, err error)
}

// RemoveStrayUploads removes the bytes of uploads that no session leads to any more,
// and tells how many uploads they were. It is for the start: no request may be served.
func (r *Registry) RemoveStrayUploads(ctx context.Context) (removed int, err error) {
	driver, ok := blob.As[strayRemover](r.blobs)
	if !ok {
		return 0, nil
	}
	saved, err := r.savedUploads(ctx)
	if err != nil {
		return 0, err
	}
	return driver.RemoveStrayUploads(ctx, saved)
}

// straySweeper is a driver that several processes use, any of which may have transfers
// running.
type straySweeper interface {
	SweepStrays(ctx context.Context, saved [][]byte, before time.Time) (removed int, err error)
}

// SweepStrays removes the bytes of transfers that no session leads to and that have not
// gone on for the given time, and tells how many they were. Requests may be served.
func (r *Registry) SweepStrays(ctx context.Context, olderThan time.Duration) (removed int, err error) {
	driver, ok := blob.As[straySweeper](r.blobs)
	if !ok {
		return 0, nil
	}
	saved, err := r.savedUploads(ctx)
	if err != nil {
		return 0, err
	}
	return driver.SweepStrays(ctx, saved, r.now().Add(-olderThan))
}

// savedUploads lists the states by which storage resumes the unfinished uploads.
func (r *Registry) savedUploads(ctx context.Context) (saved [][]byte, err error) {
	// All of them, also where the clock went back since.
	rows, err := r.db.Uploads.OlderThan(ctx, time.UnixMicro(math.MaxInt64), math.MaxInt32)
	if err != nil {
		return nil, fmt.Errorf("listing unfinished uploads: %w", err)
	}
	for _, row := range rows {
		var state uploadState
		if err := json.Unmarshal(row.State, &state); err != nil {
			return nil, fmt.Errorf("reading the state of upload %s: %w", row.ID, err)
		}
		if len(state.Blob) > 0 {
			saved = append(saved, state.Blob)
		}
	}
	return saved, nil
}

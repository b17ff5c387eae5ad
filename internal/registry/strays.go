package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// strayRemover is a driver whose uploads can be left behind by a process that was
// killed before it could save them.
type strayRemover interface {
	RemoveStrayUploads(ctx context.Context, saved [][]byte) (removed int, err error)
}

// RemoveStrayUploads removes the bytes of uploads that no session leads to any more,
// and tells how many uploads they were. It is for the start: no request may be served.
func (r *Registry) RemoveStrayUploads(ctx context.Context) (removed int, err error) {
	driver, ok := r.blobs.(strayRemover)
	if !ok {
		return 0, nil
	}
	// All of them, also where the clock went back since.
	rows, err := r.db.Uploads.OlderThan(ctx, time.UnixMicro(math.MaxInt64), math.MaxInt32)
	if err != nil {
		return 0, fmt.Errorf("listing unfinished uploads: %w", err)
	}
	var saved [][]byte
	for _, row := range rows {
		var state uploadState
		if err := json.Unmarshal(row.State, &state); err != nil {
			return 0, fmt.Errorf("reading the state of upload %s: %w", row.ID, err)
		}
		if len(state.Blob) > 0 {
			saved = append(saved, state.Blob)
		}
	}
	return driver.RemoveStrayUploads(ctx, saved)
}

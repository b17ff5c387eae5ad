package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// maxListed bounds the list of what one collection has removed, in bytes: more than the
// longest run can leave.
const maxListed = 64 << 20

// collector has what nothing refers to removed, again and again.
type collector struct {
	*client
	removed atomic.Int64 // links, blobs and files
}

func (c *collector) use(client *client) { c.client = client }

// settle has nothing to compare: whoever misses something will say so.
func (c *collector) settle(context.Context, bool) (int, error) { return 0, nil }

// work collects until the server is gone. The error is nil when it was killed by the
// test.
func (c *collector) work(ctx context.Context, killed *atomic.Bool, done *atomic.Int64) error {
	for {
		_, err := c.collect(ctx)
		if err == nil {
			done.Add(1)
			continue
		}
		if killed.Load() && !isRefusal(err) {
			return nil
		}
		return fmt.Errorf("the collector: %w", err)
	}
}

// collect asks for one collection. Another may be running, then ran is false.
func (c *collector) collect(ctx context.Context) (ran bool, err error) {
	const confirm = `{"confirm":true}`
	a, err := c.do(ctx, request{
		method: http.MethodPost, path: "/api/v1/prune", body: strings.NewReader(confirm), size: int64(len(confirm)), keep: maxListed,
		header: map[string]string{"Content-Type": "application/json"},
	})
	if err != nil || a.status == http.StatusConflict {
		return false, err
	}
	var last struct {
		Summary *struct{ Links, Blobs, Orphans int64 }
	}
	lines := bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || !a.ok() || last.Summary == nil {
		return false, fmt.Errorf("%w to a collection: %s", errRefused, a)
	}
	c.removed.Add(last.Summary.Links + last.Summary.Blobs + last.Summary.Orphans)
	return true, nil
}

// age makes everything that is stored look old enough for a collector, and the lease
// of one that was killed expired.
func age(t *testing.T, data string) {
	t.Helper()
	db := openMetadata(t, data, "rw")
	defer func() { _ = db.Close() }()
	for _, change := range []string{
		"UPDATE blobs SET stored_at = 1", "UPDATE blob_links SET used_at = 1", "UPDATE orphans SET seen_at = 1", "UPDATE leases SET expires_at = 1",
	} {
		if _, err := db.ExecContext(t.Context(), change); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
	}
}

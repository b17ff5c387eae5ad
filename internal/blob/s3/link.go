package s3

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// Link signs an address from which a blob can be read with GET, whole or in ranges. It
// is a secret for as long as it lives, at most seven days, and may be used again and
// again.
func (s *Store) Link(ctx context.Context, key string, life time.Duration) (string, error) {
	err := checkKey(key)
	var link *url.URL
	if err == nil {
		as := url.Values{"response-content-type": {"application/octet-stream"}}
		link, err = s.client.PresignedGetObject(ctx, s.bucket, s.blobs+key, life, as)
		err = explained(err)
	}
	if err != nil {
		return "", fmt.Errorf("signing an address for blob %.80s: %w", key, err)
	}
	return link.String(), nil
}

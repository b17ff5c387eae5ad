package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/larder-registry/larder/internal/blob"
)

const (
	// ownerName is the object that says whose the bucket and prefix are.
	ownerName = "owner"
	// maxOwner bounds what is read of it, in bytes.
	maxOwner = 256
)

// Owner tells who has claimed the bucket and prefix; "" for nobody.
func (s *Store) Owner(ctx context.Context) (string, error) {
	o, err := s.object(ctx, s.owner)
	if errors.Is(err, blob.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whose the object storage is: %w", err)
	}
	defer func() { _ = o.Close() }()
	text, err := io.ReadAll(io.LimitReader(o, maxOwner))
	if err != nil {
		return "", fmt.Errorf("reading whose the object storage is: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Claim makes the bucket and prefix somebody's unless they are somebody else's already,
// and tells whose they are then. Of two who claim them at the same moment, one may
// believe to have them until it asks again.
func (s *Store) Claim(ctx context.Context, id string) (owner string, err error) {
	owner, err = s.Owner(ctx)
	if err != nil || owner != "" {
		return owner, err
	}
	if err := s.TakeOver(ctx, id); err != nil {
		return "", err
	}
	return s.Owner(ctx)
}

// TakeOver makes the bucket and prefix somebody's, whoever has them.
func (s *Store) TakeOver(ctx context.Context, id string) error {
	text := id + "\n"
	sum := sha256.Sum256([]byte(text))
	p := piece{content: strings.NewReader(text), size: int64(len(text)), sum: hex.EncodeToString(sum[:])}
	if err := s.put(ctx, s.owner, p); err != nil {
		return fmt.Errorf("claiming the object storage: %w", err)
	}
	return nil
}

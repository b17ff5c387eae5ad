package s3

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// uploadState is what Save returns, as JSON.
type uploadState struct {
	Offset    int64            `json:"offset"`    // bytes that are durable
	Algorithm digest.Algorithm `json:"algorithm"` // of the running hash
	Hash      []byte           `json:"hash,omitempty"`
	Tail      string           `json:"tail"`            // name of the object that holds what is in no part; it may be empty
	Stale     []string         `json:"stale,omitempty"` // names of tails of earlier states
	Key       string           `json:"key,omitempty"`   // of the blob that the parts will be
	UploadID  string           `json:"uploadID,omitempty"`
	Parts     []string         `json:"parts,omitempty"` // their ETags
	PartBytes int64            `json:"partBytes,omitempty"`
}

// check refuses a state that leads to other objects than those of uploads, or
// holds numbers that cannot be.
func (st *uploadState) check() error {
	if err := blob.CheckAlgorithm(st.Algorithm); err != nil {
		return err
	}
	for _, tail := range append([]string{st.Tail}, st.Stale...) {
		if checkKey(tail) != nil {
			return errors.New("its state names no tail of this store")
		}
	}
	parts := st.Key != "" || st.UploadID != "" || len(st.Parts) > 0 || st.PartBytes != 0
	if parts && (checkKey(st.Key) != nil || st.UploadID == "" || len(st.Parts) == 0 || len(st.Parts) > maxParts) {
		return errors.New("its state names no multipart upload of this store")
	}
	if tail := st.Offset - st.PartBytes; st.PartBytes < 0 || tail < 0 || tail > maxPartSize {
		return errors.New("its state names no offset")
	}
	return nil
}

// Resume continues an upload at the offset that was saved. When the parts or the
// tail are not there, the rest of it is removed, and ErrNotFound says that the
// upload has to begin anew.
func (s *Store) Resume(ctx context.Context, state []byte) (blob.Upload, error) {
	var saved uploadState
	if err := json.Unmarshal(state, &saved); err != nil {
		return nil, fmt.Errorf("resuming an upload: reading its state: %w", err)
	}
	if err := saved.check(); err != nil {
		return nil, fmt.Errorf("resuming an upload: %w", err)
	}
	u := s.resumed(ctx, &saved)
	if err := u.fetch(ctx, &saved); err != nil {
		u.rest.close()
		if errors.Is(err, blob.ErrNotFound) {
			err = errors.Join(err, u.drop(ctx))
		}
		return nil, fmt.Errorf("resuming an upload: %w", err)
	}
	return u, nil
}

// resumed is the upload without what is in S3.
func (s *Store) resumed(ctx context.Context, saved *uploadState) *upload {
	u := &upload{transfer: newTransfer(ctx, s, saved.Algorithm)}
	u.size, u.cut, u.tails, u.shared = saved.Offset, len(saved.Parts), saved.Stale, true
	u.parts = multipart{store: s, key: saved.Key, id: saved.UploadID, etags: saved.Parts, size: saved.PartBytes}
	running, ok := u.hash.(encoding.BinaryUnmarshaler)
	if !ok || running.UnmarshalBinary(saved.Hash) != nil {
		u.hash = nil // a state of the hash in another release's form: the commit reads the bytes
	}
	return u
}

// fetch sees to it that the parts are there, and makes the tail the rest.
func (u *upload) fetch(ctx context.Context, saved *uploadState) error {
	// Somebody holds this state, so those before it are not needed. One that stays
	// is removed with the next state or with the upload.
	_ = u.removeTails(ctx)
	u.tails = append(u.tails, saved.Tail)
	if u.parts.id != "" {
		if err := u.parts.exists(ctx); err != nil {
			return err
		}
	}
	tail, err := u.store.object(ctx, u.store.uploads+saved.Tail)
	if err != nil {
		return err
	}
	defer func() { _ = tail.Close() }()
	if want := saved.Offset - saved.PartBytes; tail.size != want {
		return fmt.Errorf("the tail holds %d of %d bytes: %w", tail.size, want, blob.ErrNotFound)
	}
	if tail.size == 0 {
		return nil
	}
	if u.rest, err = u.store.local(); err != nil {
		return err
	}
	_, err = io.Copy(u.rest, tail)
	return err
}

package blob

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// uploadState is what Save returns, as JSON.
type uploadState struct {
	File      string           `json:"file"`      // its name in the folder of uploads
	Offset    int64            `json:"offset"`    // bytes that are durable
	Algorithm digest.Algorithm `json:"algorithm"` // of the running hash
	Hash      []byte           `json:"hash"`      // its state after Offset bytes
}

// fileUpload is an Upload into a file.
type fileUpload struct{ *incoming }

// Save makes the file and its name durable and closes it.
func (u *fileUpload) Save(context.Context) ([]byte, error) {
	if u.settled {
		return nil, fmt.Errorf("saving the upload %s after its end: %w", u.file.Name(), fs.ErrClosed)
	}
	state, err := u.save()
	if err != nil {
		if u.settled { // its bytes could not be kept
			_ = u.file.Close()
		}
		return nil, fmt.Errorf("saving the upload %s: %w", u.file.Name(), err)
	}
	return state, nil
}

func (u *fileUpload) save() ([]byte, error) {
	running, ok := u.hash.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("the state of a %s hash cannot be kept", u.algorithm)
	}
	hashed, err := running.MarshalBinary()
	if err != nil {
		return nil, err
	}
	name := u.file.Name()
	state, err := json.Marshal(uploadState{
		File: filepath.Base(name), Offset: u.size, Algorithm: u.algorithm, Hash: hashed,
	})
	if err != nil {
		return nil, err
	}
	if err := u.sync(); err != nil {
		return nil, err
	}
	if err := u.store.disk.syncFolder(filepath.Dir(name)); err != nil {
		return nil, err
	}
	u.settled = true
	return state, u.file.Close()
}

// Commit verifies the bytes and makes the file the blob.
func (u *fileUpload) Commit(ctx context.Context, want digest.Digest) (string, error) {
	key, err := u.commit(ctx, want)
	if u.settled {
		// Nothing is lost with an error here: the bytes were synced before.
		_ = u.file.Close()
	}
	return key, err
}

// Cancel removes the file.
func (u *fileUpload) Cancel(context.Context) error {
	if u.settled {
		return nil
	}
	if err := u.drop(); err != nil {
		return fmt.Errorf("canceling an upload: %w", err)
	}
	_ = u.file.Close() // what it held is not wanted any more
	return nil
}

// Resume continues an upload at the offset that was saved. A file that is
// shorter has lost bytes that were durable: it is removed, and ErrNotFound says
// that the upload has to begin anew.
func (s *Files) Resume(ctx context.Context, state []byte) (Upload, error) {
	var saved uploadState
	if err := json.Unmarshal(state, &saved); err != nil {
		return nil, fmt.Errorf("resuming an upload: reading its state: %w", err)
	}
	if err := CheckAlgorithm(saved.Algorithm); err != nil {
		return nil, fmt.Errorf("resuming an upload: %w", err)
	}
	if !randomName(saved.File) || saved.Offset < 0 {
		return nil, errors.New("resuming an upload: its state names no file or offset of this store")
	}
	f, err := os.OpenFile(filepath.Join(s.uploads, saved.File), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("resuming an upload: %w", notFound(err))
	}
	in := &incoming{store: s, file: f, algorithm: saved.Algorithm, size: saved.Offset}
	if err := in.rewind(ctx, saved.Hash); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("resuming an upload: %w", err)
	}
	return &fileUpload{in}, nil
}

// rewind brings the file and the hash to in.size bytes.
func (in *incoming) rewind(ctx context.Context, hashed []byte) error {
	info, err := in.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < in.size {
		lost := fmt.Errorf("%s holds %d of %d bytes: %w", in.file.Name(), info.Size(), in.size, ErrNotFound)
		return errors.Join(lost, in.drop())
	}
	if err := in.file.Truncate(in.size); err != nil {
		return err
	}
	if _, err := in.file.Seek(in.size, io.SeekStart); err != nil {
		return err
	}
	in.hash = in.algorithm.Hash()
	if running, ok := in.hash.(encoding.BinaryUnmarshaler); ok && running.UnmarshalBinary(hashed) == nil {
		return nil
	}
	// A state of the hash in another release's form: the bytes tell it too.
	in.hash, err = in.rehash(ctx, in.algorithm, in.size)
	return err
}

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
)

// ErrNoMetadata is in the chain of a Probe's error when metadata, and not the storage of
// blobs, could not be read.
var ErrNoMetadata = errors.New("the database could not be read")

// Probe reads a tiny image back from metadata and storage and verifies it. Local copies do
// not count: it tells whether the storage itself is there. The image belongs to no
// repository; the first probe on a data folder stores it.
func (r *Registry) Probe(ctx context.Context) error {
	contents, err := probeContents()
	if err != nil {
		return err
	}
	for _, content := range contents {
		if err := r.probeBlob(ctx, content); err != nil {
			return err
		}
	}
	return nil
}

// ProbeBlobs tells which blobs the probe reads: no repository links them, and they are
// to be kept all the same.
func ProbeBlobs() ([]digest.Digest, error) {
	contents, err := probeContents()
	if err != nil {
		return nil, err
	}
	all := make([]digest.Digest, 0, len(contents))
	for _, content := range contents {
		all = append(all, digest.FromBytes(content))
	}
	return all, nil
}

// probeContents are the probe's config and manifest.
func probeContents() ([][]byte, error) {
	config := []byte(`{}`)
	manifest, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    v1.Descriptor{MediaType: v1.MediaTypeEmptyJSON, Digest: digest.FromBytes(config), Size: int64(len(config))},
		Layers:    []v1.Descriptor{},
	})
	if err != nil {
		return nil, fmt.Errorf("making the probe's image: %w", err)
	}
	return [][]byte{config, manifest}, nil
}

func (r *Registry) probeBlob(ctx context.Context, content []byte) error {
	d := digest.FromBytes(content)
	row, err := r.db.Blobs.Held(ctx, d)
	switch {
	case errors.Is(err, metadata.ErrNotFound):
		if row, err = r.storeProbe(ctx, d, content); err != nil {
			return fmt.Errorf("storing the probe's blob %s: %w", d, err)
		}
	case err != nil:
		return fmt.Errorf("%w: looking up the probe's blob %s: %w", ErrNoMetadata, d, err)
	}
	// What is damaged stays, and so does the answer, until somebody has seen to it.
	if _, err := r.readBack(ctx, row, r.openKept); err != nil {
		return fmt.Errorf("reading the probe's blob: %w", err)
	}
	return nil
}

func (r *Registry) storeProbe(ctx context.Context, d digest.Digest, content []byte) (metadata.Blob, error) {
	r.probe.Lock()
	defer r.probe.Unlock()
	if row, err := r.db.Blobs.Held(ctx, d); !errors.Is(err, metadata.ErrNotFound) {
		return row, err
	}
	upload, err := r.blobs.Create(ctx, d.Algorithm())
	if err != nil {
		return metadata.Blob{}, err
	}
	if _, err := upload.Write(content); err != nil {
		return metadata.Blob{}, errors.Join(err, upload.Cancel(ctx))
	}
	defer r.guard.Storing(d)()
	key, err := upload.Commit(ctx, d)
	if err != nil {
		return metadata.Blob{}, errors.Join(err, upload.Cancel(ctx))
	}
	row := metadata.Blob{Digest: d, Key: key, Size: int64(len(content))}
	return row, r.db.Blobs.Put(ctx, row)
}

package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// absentError is in the chain when an end does not have what was asked for.
type absentError struct{ error }

func (e *absentError) Unwrap() error { return e.error }

func absentf(format string, args ...any) error { return &absentError{fmt.Errorf(format, args...)} }

func isAbsent(err error) bool {
	_, is := errors.AsType[*absentError](err)
	return is
}

// source is where one image is read.
type source interface {
	// head says what the image is without reading it.
	head(ctx context.Context) (oci.Descriptor, error)
	// top reads the manifest that the place names, manifest one of those below it.
	top(ctx context.Context) (oci.Manifest, error)
	manifest(ctx context.Context, d digest.Digest) (oci.Manifest, error)
	blob(ctx context.Context, d digest.Digest) (io.ReadCloser, error)
	// referrers lists the manifests whose subject is d.
	referrers(ctx context.Context, d digest.Digest) ([]digest.Digest, error)
	// repository is nil in a folder.
	repository() *name.Repository
}

// destination is where one image is stored.
type destination interface {
	// head says what the place names now; an absentError for nothing.
	head(ctx context.Context) (oci.Descriptor, error)
	// holds tells whether a manifest is there with all that it refers to.
	holds(ctx context.Context, d digest.Digest) (bool, error)
	// putBlob stores a blob unless it is there.
	putBlob(ctx context.Context, b *blob) error
	putManifest(ctx context.Context, m oci.Manifest) error
	// name stores a manifest under the name of the place.
	name(ctx context.Context, m oci.Manifest) error
	// readBack reads what the place names now.
	readBack(ctx context.Context) (oci.Manifest, error)
}

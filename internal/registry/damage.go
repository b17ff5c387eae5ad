package registry

import (
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// damage is a blob whose stored bytes are gone or are not its own. It is an error with
// ErrDamaged in its chain.
type damage struct {
	origin  // of the bytes that were looked at
	row     metadata.Blob
	reason  string
	missing bool // there are no bytes at all
}

// origin tells which bytes were read.
type origin struct {
	identity string // "" where it is not known
	near     bool   // as blob.Opened tells it
}

func originOf(content io.ReadSeekCloser) (from origin, err error) {
	from.identity, err = blob.IdentityOf(content)
	opened, tells := content.(blob.Opened)
	from.near = tells && opened.Near()
	return from, err
}

func (d *damage) Error() string {
	return fmt.Sprintf("blob %s: %s: %s", d.row.Digest, d.reason, ErrDamaged)
}

func (d *damage) Unwrap() error { return ErrDamaged }

func gone(row metadata.Blob) *damage {
	return &damage{row: row, missing: true, reason: fmt.Sprintf("its %d bytes are not in storage", row.Size)}
}

func wrongSize(row metadata.Blob, from origin, size int64) *damage {
	return &damage{row: row, origin: from, reason: fmt.Sprintf("storage holds %d bytes of it and not %d", size, row.Size)}
}

// compare holds what was read against what was stored.
func compare(row metadata.Blob, from origin, size int64, got digest.Digest) error {
	switch {
	case size != row.Size:
		return wrongSize(row, from, size)
	case got != row.Digest:
		return &damage{row: row, origin: from, reason: fmt.Sprintf("its %d bytes have digest %s", size, got)}
	}
	return nil
}

// mismatch is the damage that the driver itself has found while it read; nil for none.
func mismatch(row metadata.Blob, from origin, err error) error {
	found, ok := errors.AsType[*blob.MismatchError](err)
	if !ok {
		return nil
	}
	return &damage{row: row, origin: from, reason: "its bytes have digest " + found.Got.String()}
}

// refuseDamaged is the answer to whoever asks for a blob that is damaged.
func refuseDamaged(d digest.Digest, cause error) error {
	return &oci.Error{
		Code:    oci.CodeUnknown,
		Message: fmt.Sprintf("blob %s is damaged in this registry's storage: push the image again, or tell its operator to restore it from a backup; larder fsck lists what is damaged", d),
		Err:     cause,
	}
}

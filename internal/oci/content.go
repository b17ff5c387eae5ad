package oci

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
)

// Descriptor says what a manifest or blob is without its bytes.
type Descriptor struct {
	MediaType string
	Digest    digest.Digest
	Size      int64 // bytes
}

// Manifest is a manifest with its bytes exactly as they were pushed.
type Manifest struct {
	MediaType string
	Digest    digest.Digest
	Content   []byte
}

// Descriptor describes m.
func (m Manifest) Descriptor() Descriptor {
	return Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content))}
}

// Blob is an open blob. Reads follow a transfer that is still running; they return
// an error, never a clean end, when that transfer fails.
type Blob interface {
	io.ReadSeekCloser
	// Size is the blob's length in bytes, -1 while an upstream has not told it.
	Size() int64
	// Verified returns nil once all the blob's bytes have matched its digest. It is
	// called when all but a response's last byte was read; that byte is sent after it.
	Verified(ctx context.Context) error
}

// TagPage asks for at most Limit tags that sort after Last.
type TagPage struct {
	Last  string
	Limit int
}

// TagList is one page of a repository's tags in lexical order.
type TagList struct {
	Tags []string
	More bool // another page follows
}

package gc

import "github.com/opencontainers/go-digest"

// Kind is what an Item is.
type Kind string

// The kinds.
const (
	// Link is a blob that a repository has, and that none of its manifests names.
	Link Kind = "link"
	// Blob is a blob that no repository has.
	Blob Kind = "blob"
	// Orphan is bytes in storage that belong to no blob: a crash came between the two.
	Orphan Kind = "orphan"
)

// Item is one thing that is removed.
type Item struct {
	Kind       Kind
	Repository string        // of a Link
	Digest     digest.Digest // of a Link or a Blob
	Key        string        // in storage, of an Orphan
	Size       int64         // bytes that become free
}

// Summary counts what is removed.
type Summary struct {
	Links, Blobs, Orphans int
	Bytes                 int64 // that become free
}

func (s *Summary) add(i Item) {
	switch i.Kind {
	case Link:
		s.Links++
	case Blob:
		s.Blobs++
	case Orphan:
		s.Orphans++
	}
	s.Bytes += i.Size
}

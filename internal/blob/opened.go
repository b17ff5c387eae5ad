package blob

import "io"

// Opened is what Open returns where the driver knows more of a blob than its bytes.
type Opened interface {
	io.ReadSeekCloser
	// Identity names the bytes that are being read, for little cost: it is another one
	// once somebody has written to them or put others in their place, though nobody told
	// Larder. It is "" for as long as a change could not be told from none.
	Identity() (string, error)
	// Near tells whether reading the bytes a second time costs time and nothing else, as
	// on a disk of this machine.
	Near() bool
}

// IdentityOf is the identity of what Open has returned, "" where the driver tells none.
func IdentityOf(content io.ReadSeekCloser) (string, error) {
	if opened, ok := content.(Opened); ok {
		return opened.Identity()
	}
	return "", nil
}

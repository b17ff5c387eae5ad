package blob

import (
	"fmt"
	"io/fs"
	"os"
	"time"
)

// settled is how long after a change of a file the next one surely has another time: a
// little more than the coarsest clock tick of a kernel.
const settled = 20 * time.Millisecond

// openFile is a blob's file. It stays what the kernel can send to a socket by itself.
type openFile struct{ *os.File }

var _ Opened = openFile{}

// OpenedFile makes a file of a local disk what Open returns, for drivers that keep some.
func OpenedFile(f *os.File) Opened { return openFile{f} }

// Identity is made of the file's number, size, and times of change. The last of them
// cannot be set back by a program.
func (f openFile) Identity() (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("looking at %s: %w", f.Name(), err)
	}
	return identityOf(info, time.Now()), nil
}

// Near is true.
func (openFile) Near() bool { return true }

func identityOf(info fs.FileInfo, now time.Time) string {
	device, number, at, ok := changed(info)
	if !ok || now.Sub(at) < settled {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d:%d:%d", device, number, info.Size(), info.ModTime().UnixNano(), at.UnixNano())
}

package blob

import (
	"io/fs"
	"syscall"
	"time"
)

// changed tells a file's number on its device, and when its bytes or what is known of
// it last changed, which no program can set back.
func changed(info fs.FileInfo) (device, number uint64, at time.Time, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, time.Time{}, false
	}
	return stat.Dev, stat.Ino, time.Unix(stat.Ctim.Unix()), true
}

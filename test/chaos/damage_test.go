package chaos_test

import (
	"errors"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFileDamagedUnderARunningServerIsNeverServedWhole damages what was pushed, which
// is refused until it is pushed again, and what is cached, which is fetched anew.
func TestAFileDamagedUnderARunningServerIsNeverServedWhole(t *testing.T) {
	t.Parallel()
	f := newFailing(t, t.TempDir())
	f.pulls()
	const layer = 1
	tests := []struct {
		name   string
		damage func(file string) error
	}{
		{"a byte is flipped", flip},
		{"it is cut", func(file string) error { return os.Truncate(file, 1000) }},
		{"it is cut to nothing", func(file string) error { return os.Truncate(file, 0) }},
		{"it is removed", os.Remove},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hosted, cached := f.hosted[layer], f.quiet.paths[layer+1]
			for _, name := range []string{hosted, cached} {
				if err := tt.damage(f.blobFile(name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.client.whole(t.Context(), cached); err != nil {
				t.Errorf("what is cached is not fetched anew: %v", err)
			}
			for range 2 {
				f.notWhole(t, hosted)
			}
			if err := f.pusher.postWhole(t.Context(), f.layer); err != nil {
				t.Errorf("pushing it again: %v", err)
			}
			f.pulls()
			f.server.alive()
		})
	}
	f.server.stop()
}

// blobFile is where the running server keeps the blob of a path that ends with its
// digest.
func (f *failing) blobFile(name string) string {
	algorithm, encoded, _ := strings.Cut(path.Base(name), ":")
	return filepath.Join(f.server.data, "blobs", algorithm, encoded[:2], encoded)
}

// flip changes one bit of a file.
func flip(name string) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var one [1]byte
	_, err = file.ReadAt(one[:], 12_345)
	one[0] ^= 1
	if err == nil {
		_, err = file.WriteAt(one[:], 12_345)
	}
	return errors.Join(err, file.Close())
}

// notWhole fails the test unless a pull is refused or broken off.
func (f *failing) notWhole(t *testing.T, name string) {
	t.Helper()
	if a, err := f.client.get(t.Context(), name); err == nil && a.status < http.StatusBadRequest {
		t.Errorf("GET %s, whose file is damaged, was answered with %d and %d bytes of %s", name, a.status, a.size, a.digest)
	}
}

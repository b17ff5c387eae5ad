package chaos_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestAFullDiskStopsNoPull(t *testing.T) {
	t.Parallel()
	folder := mountedMemory(t, "24m")
	f := newFailing(t, folder)
	f.pulls()
	f.accepted(f.everyPush())

	ballast, open := filepath.Join(folder, "ballast"), f.server.descriptors()
	for round := range 3 {
		fill(t, ballast)
		for range 3 {
			f.refused(f.everyPush(), http.StatusInsufficientStorage, http.StatusNotFound)
		}
		f.pulls()
		f.coldPull()
		f.pulls()
		f.server.alive()
		if round == 1 {
			f.server.kill()
			f.restart()
			f.pulls()
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		f.accepted(f.everyPush())
	}
	f.fillByPushing()
	if left := leftBehind(t, f.server.data); left.uploads > 0 || left.spools > 0 {
		t.Errorf("refused pushes have left %d files of uploads and %d of spools", left.uploads, left.spools)
	}
	until(t, "no file is left open", func() bool { return f.server.descriptors() <= open+20 })
	f.server.stop()
}

// fillByPushing pushes more than there is room for, in each way that there is. It is
// refused, and takes no room after that.
func (f *failing) fillByPushing() {
	f.t.Helper()
	for i, push := range []func(context.Context, content) error{f.pusher.postWhole, f.pusher.postThenPut, f.inOneStream} {
		err := push(f.t.Context(), newContent(f.pusher.rng.Uint64(), 64<<20))
		// The answer may be lost when it is sent while more is coming in.
		if err == nil || isRefusal(err) && status(err) != http.StatusInsufficientStorage {
			f.t.Errorf("push %d of more than there is room for: %v", i, err)
		}
		until(f.t, "there is room again", func() bool {
			return f.push(http.MethodPost, "/blobs/uploads/?digest="+digest.FromString("room").String(), "room", "").ok()
		})
		f.accepted(f.everyPush())
	}
}

// inOneStream is what docker does.
func (f *failing) inOneStream(ctx context.Context, c content) error {
	location, err := f.pusher.begin(ctx)
	if err != nil {
		return err
	}
	_, err = f.pusher.expect(ctx, http.StatusAccepted, request{method: http.MethodPatch, path: location, body: c.reader(0), size: -1})
	return err
}

// fill writes a file that takes all the room there is.
func fill(t *testing.T, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for err == nil {
			_, err = file.Write(make([]byte, size))
		}
		err = nil
	}
}

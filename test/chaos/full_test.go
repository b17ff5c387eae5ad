package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestAFullDiskStopsNoPull(t *testing.T) {
	t.Parallel()
	folder := mountedMemory(t, "24m")
	f := newFailing(t, folder)
	f.pulls()
	f.accepted(f.everyPush())

	ballast, open := filepath.Join(folder, "ballast"), f.server.descriptors()
	for round := range 3 {
		until(t, "no room can be made by evicting", func() bool {
			fill(t, ballast)
			succeeds := func(a answer) bool { return a.ok() }
			return !slices.ContainsFunc(slices.Collect(maps.Values(f.everyPush())), succeeds)
		})
		for range 3 {
			f.refused(f.everyPush(), http.StatusInsufficientStorage, http.StatusNotFound)
		}
		f.pulls()
		f.coldLayer(fmt.Sprintf("cold%d", round), 400_000)
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

func TestAFullDiskEvictsWhatWasPulledLeastRecently(t *testing.T) {
	t.Parallel()
	folder := mountedMemory(t, "32m")
	f := newFailing(t, folder)
	old, recent := f.coldLayer("old", 4<<20), f.coldLayer("recent", 4<<20)
	for _, path := range []string{old, recent} {
		until(t, "it is cached", func() bool { return f.cached(path) })
	}
	fill(t, filepath.Join(folder, "ballast"))

	// The database has no room either to write that something is evicted.
	fits := f.coldLayer("fits", 3<<20)
	until(t, "it is cached", func() bool { return f.cached(fits) })
	if f.cached(old) || !f.cached(recent) {
		t.Errorf("cached are old: %t, recent: %t; want the recent one alone", f.cached(old), f.cached(recent))
	}

	// What would not fit all the same passes through, and nothing goes for it.
	if large := f.coldLayer("large", 40<<20); f.cached(large) || !f.cached(recent) || !f.cached(fits) {
		t.Errorf("cached are large: %t, recent: %t, fits: %t; want all but the large one", f.cached(large), f.cached(recent), f.cached(fits))
	}

	// Pushes find room likewise, and the hosted image stays.
	fill(t, filepath.Join(folder, "more ballast"))
	f.accepted(f.everyPush())
	if f.cached(recent) || !f.cached(fits) {
		t.Errorf("cached are recent: %t, fits: %t; want the latter alone", f.cached(recent), f.cached(fits))
	}
	for _, path := range f.hosted {
		if err := f.client.whole(t.Context(), path); err != nil {
			t.Error(err)
		}
	}
	f.server.alive()
	f.server.stop()
}

// coldLayer pulls an image that nobody has pulled before, and returns the path of its
// only layer.
func (f *failing) coldLayer(name string, size int64) (path string) {
	f.t.Helper()
	repository := "docker-hub/library/" + name
	pushed := f.hub.AddImage("library/"+name, "latest", hubsim.Image{Seed: f.pusher.rng.Uint64(), LayerSizes: []int64{size}})
	if a, err := f.client.get(f.t.Context(), "/v2/"+repository+"/manifests/latest"); err != nil || a.digest != pushed.Digest {
		f.t.Errorf("a cold pull of %s: %s, %v", name, a, err)
	}
	path = blobPaths(repository, []digest.Digest{pushed.Manifests[0].Layers[0].Digest})[0]
	if err := f.client.whole(f.t.Context(), path); err != nil {
		f.t.Errorf("a cold pull of %s: %v", name, err)
	}
	return path
}

// cached asks by HEAD, which fetches nothing.
func (f *failing) cached(path string) bool {
	f.t.Helper()
	a, err := f.client.do(f.t.Context(), request{method: http.MethodHead, path: path})
	if err != nil || !a.ok() {
		f.t.Errorf("HEAD %s: %s, %v", path, a, err)
	}
	return a.header.Get("Cache-Status") == "larder; hit"
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

// fill makes a file take all the room there is.
func fill(t *testing.T, name string) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
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

package pullthrough_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// keptNothing fails the test when anything is left of a blob once its readers have gone.
func (b *bench) keptNothing(d digest.Digest) {
	b.t.Helper()
	b.emptySpool()
	if _, err := b.db.Blobs.Held(b.t.Context(), d); !errors.Is(err, metadata.ErrNotFound) {
		b.t.Errorf("it was kept: %v", err)
	}
}

func (b *bench) emptySpool() {
	b.t.Helper()
	eventually(b.t, "the spool is empty", func() bool {
		left, err := os.ReadDir(filepath.Join(b.dir, "spool"))
		return err == nil && len(left) == 0
	})
}

// transfers lists what the CDN was asked for of a blob, as the ranges that were named.
func transfers(hub *hubsim.Hub, d digest.Digest) []string {
	ranges := []string{}
	for _, r := range hub.Requests() {
		if r.Method == http.MethodGet && r.Path == "cdn/"+d.String() {
			ranges = append(ranges, r.Range)
		}
	}
	return ranges
}

const mebibyte = 1 << 20

// goharbor/harbor#13314 (row 9): a cache that is full refuses the pull.
func TestAColdPullOnAFullDiskPassesThroughUnkept(t *testing.T) {
	for name, room := range map[string]int64{
		"that has no room at all":         0,
		"that has room for its beginning": 700_001,
		"that lacks room for one byte":    3 * mebibyte,
	} {
		t.Run(name, func(t *testing.T) {
			b, hub, cache := cramped(t, &disk{room: room}, 2*mebibyte, 10*mebibyte, hubsim.Options{})
			layer := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0].Digest
			opened, served, err := cache.Blob(t.Context(), alice, nginx, layer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(opened)
			if err == nil {
				err = opened.Verified(t.Context())
			}
			if err != nil || digest.FromBytes(got) != layer {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if room == 0 {
				if diff := cmp.Diff("larder; fwd=miss", served.Cache.String()); diff != "" {
					t.Errorf("Cache-Status (-want +got):\n%s", diff)
				}
			}
			_ = opened.Close()
			b.keptNothing(layer)
			if diff := cmp.Diff([]string{""}, transfers(hub, layer)); diff != "" {
				t.Errorf("what the CDN was asked for (-want +got):\n%s", diff)
			}
			if !strings.Contains(b.log.String(), "passes through") {
				t.Errorf("the log does not tell of it: %s", b.log)
			}
		})
	}
}

func TestRoomThatEvictionMakesIsUsedWithinTheSamePull(t *testing.T) {
	d := &disk{room: 600_000, evictable: 100 * mebibyte}
	b, hub, cache := cramped(t, d, mebibyte, 10*mebibyte, hubsim.Options{})
	image := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0]
	if got, err := read(t.Context(), cache, alice, nginx, image.Digest); err != nil || digest.FromBytes(got) != image.Digest {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	eventually(t, "the blob is stored", func() bool {
		_, err := b.db.Blobs.Get(t.Context(), string(nginx), image.Digest)
		return err == nil
	})
	if diff := cmp.Diff([]int64{image.Size - 599_999}, d.asked); diff != "" {
		t.Errorf("the room that was asked for (-want +got):\n%s", diff)
	}
	if n := len(transfers(hub, image.Digest)); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

func TestABlobThatIsKnownNotToFitTakesNoRoom(t *testing.T) {
	d := &disk{room: mebibyte, measured: true}
	_, hub, cache := cramped(t, d, 2*mebibyte, 10*mebibyte, hubsim.Options{})
	layer := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0]
	opened, served, err := cache.Blob(t.Context(), alice, nginx, layer.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	if served.Cache.Stored {
		t.Errorf("the answer is described as %q", served.Cache)
	}
	if got, err := io.ReadAll(opened); err != nil || digest.FromBytes(got) != layer.Digest {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if diff := cmp.Diff(int64(mebibyte), d.room); diff != "" {
		t.Errorf("room that is left (-want +got):\n%s", diff)
	}
}

func TestWhoFollowInsideTheWindowShareOneTransfer(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 3*mebibyte/16)
	g := &gate{digest: digest.FromBytes(content), parts: [][]byte{content}}
	cache := crampedBench(t, &disk{}, 4*mebibyte, 10*mebibyte).open("plain", g.start(t), nil)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(g.next)
	var followers []io.ReadCloser
	for range 21 {
		follower, _, err := cache.Blob(t.Context(), alice, "plain/acme/app", g.digest)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = follower.Close() }()
		followers = append(followers, follower)
	}
	g.open()
	for _, follower := range followers {
		work.Go(func() {
			if got, err := io.ReadAll(follower); err != nil || digest.FromBytes(got) != g.digest {
				t.Errorf("a follower got %d bytes, %v", len(got), err)
			}
		})
	}
	work.Wait()
	if n := g.gets.Load(); n != 1 {
		t.Errorf("%d transfers", n)
	}
}

func TestAReaderThatFallsOutOfTheWindowFetchesWhatItMissedByItself(t *testing.T) {
	b, hub, cache := cramped(t, &disk{room: 300_000}, 2*mebibyte, 10*mebibyte, hubsim.Options{})
	layer := hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{5 * mebibyte}}).Manifests[0].Layers[0].Digest
	slow, _, err := cache.Blob(t.Context(), alice, nginx, layer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(slow, head); err != nil {
		t.Fatal(err)
	}
	// The others are not held up, and it has missed all that was not spooled.
	if got, err := read(t.Context(), cache, alice, nginx, layer); err != nil || digest.FromBytes(got) != layer {
		t.Fatalf("the fast reader got %d bytes, %v", len(got), err)
	}
	rest, err := io.ReadAll(slow)
	if err == nil {
		err = slow.Verified(t.Context())
	}
	if err != nil || digest.FromBytes(append(head, rest...)) != layer {
		t.Errorf("the slow reader got %d bytes, %v", len(rest), err)
	}
	// From the beginning of the block that holds byte 299,999, where the spool ends.
	if diff := cmp.Diff([]string{"", "bytes=262144-"}, transfers(hub, layer)); diff != "" {
		t.Errorf("what the CDN was asked for (-want +got):\n%s", diff)
	}
	_ = slow.Close()
	b.keptNothing(layer)
}

func TestALateJoinerAndARangeOutsideOfTheWindowAreServed(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4*mebibyte/16)
	copy(content[mebibyte/2:], "here")
	g := &gate{digest: digest.FromBytes(content), parts: [][]byte{content[:3*mebibyte], content[3*mebibyte:]}}
	b := crampedBench(t, &disk{}, 2*mebibyte, 0)
	cache := b.open("plain", g.start(t), nil)
	ask := func() oci.Blob {
		opened, _, err := cache.Blob(t.Context(), alice, "plain/acme/app", g.digest)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = opened.Close() })
		return opened
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { g.next(); g.next() })
	first := ask()
	if _, err := io.CopyN(io.Discard, first, 3*mebibyte); err != nil { // the window begins at the second MiB now
		t.Fatal(err)
	}
	late, ranged := ask(), ask()
	if _, err := ranged.Seek(mebibyte/2-1, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	g.open()
	part := make([]byte, 5)
	if _, err := io.ReadFull(ranged, part); err != nil || string(part) != "fhere" {
		t.Errorf("the range is %q, %v", part, err)
	}
	work.Go(func() { _, _ = io.Copy(io.Discard, first) })
	if err := ranged.Verified(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(late); err != nil || digest.FromBytes(got) != g.digest {
		t.Errorf("the late joiner got %d bytes, %v", len(got), err)
	}
}

func TestWrongBytesThatPassThroughReachNobodyWhole(t *testing.T) {
	for name, room := range map[string]int64{"on a full disk": 0, "on one that fills up midway": mebibyte} {
		t.Run(name, func(t *testing.T) {
			b, hub, cache := cramped(t, &disk{room: room}, mebibyte, 10*mebibyte, hubsim.Options{})
			layer := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0]
			hub.Break(hubsim.Fault{Kind: hubsim.FlipByte, Path: hubsim.CDNPath, Reference: layer.Digest.String(), Bytes: 200_000})
			got, err := read(t.Context(), cache, alice, nginx, layer.Digest)
			if _, mismatch := errors.AsType[*blob.MismatchError](err); !mismatch || int64(len(got)) >= layer.Size {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			b.keptNothing(layer.Digest)
		})
	}
}

func TestOtherBytesOfAnotherRequestAreNotGivenOut(t *testing.T) {
	_, hub, cache := cramped(t, &disk{}, mebibyte, 10*mebibyte, hubsim.Options{})
	layer := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0]
	slow, _, err := cache.Blob(t.Context(), alice, nginx, layer.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if got, err := read(t.Context(), cache, alice, nginx, layer.Digest); err != nil || digest.FromBytes(got) != layer.Digest {
		t.Fatalf("the fast reader got %d bytes, %v", len(got), err)
	}
	const wrong = 700_000
	hub.Break(hubsim.Fault{Kind: hubsim.FlipByte, Path: hubsim.CDNPath, Reference: layer.Digest.String(), Bytes: wrong})
	got, err := io.ReadAll(slow)
	if err == nil || len(got) > wrong {
		t.Errorf("the slow reader got %d bytes, %v", len(got), err)
	}
}

func TestATransferNobodyReadsEndsWhenItCannotBeKept(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}}
	b := crampedBench(t, &disk{}, 0, 0)
	cache := b.open("plain", g.start(t), nil)
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { g.next(); g.next() })
	only, _, err := cache.Blob(t.Context(), alice, "plain/acme/app", g.digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(only, make([]byte, len(half1))); err != nil {
		t.Fatal(err)
	}
	_ = only.Close()
	g.open()
	b.counted("abandoned", 1)
}

func TestMoreThanMemoryHasRoomForIsRefusedAndMayComeAgain(t *testing.T) {
	g := &gate{digest: digest.FromBytes(whole), parts: [][]byte{half1, half2}}
	b := crampedBench(t, &disk{}, 0, int64(len(whole)))
	cache := b.open("plain", g.start(t), nil)
	other := &gate{digest: digest.FromString("x"), parts: [][]byte{[]byte("x")}}
	neighbor := b.open("other", other.start(t), nil)
	other.open()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { g.next(); g.next() })
	first, _, err := cache.Blob(t.Context(), alice, "plain/acme/app", g.digest)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = neighbor.Blob(t.Context(), alice, "other/acme/app", other.digest)
	refusal, ok := errors.AsType[*oci.Error](err)
	if !ok || refusal.Code != oci.CodeUnavailable || refusal.RetryAfter == 0 || !strings.Contains(refusal.Message, "disk is full") {
		t.Errorf("the second blob got %v", err)
	}
	g.open()
	if got, err := io.ReadAll(first); err != nil || digest.FromBytes(got) != g.digest {
		t.Errorf("the first got %d bytes, %v", len(got), err)
	}
	_ = first.Close()
	eventually(t, "there is memory again", func() bool {
		got, err := read(t.Context(), neighbor, alice, "other/acme/app", other.digest)
		return err == nil && string(got) == "x"
	})
}

func TestABrokenConnectionIsResumedWhileTheBlobPassesThrough(t *testing.T) {
	_, hub, cache := cramped(t, &disk{room: mebibyte}, mebibyte, 10*mebibyte, hubsim.Options{})
	layer := hub.AddImage("library/nginx", "latest", large(1)).Manifests[0].Layers[0]
	hub.Break(hubsim.Fault{Kind: hubsim.CutAfter, Path: hubsim.CDNPath, Reference: layer.Digest.String(), Times: 1, Bytes: 2 * mebibyte})
	if got, err := read(t.Context(), cache, alice, nginx, layer.Digest); err != nil || digest.FromBytes(got) != layer.Digest {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if n := len(transfers(hub, layer.Digest)); n != 2 {
		t.Errorf("%d requests: %v", n, hub.Requests())
	}
}

// counted waits until as many fills have ended in that way.
func (b *bench) counted(outcome string, want float64) {
	b.t.Helper()
	eventually(b.t, "a fill is "+outcome, func() bool {
		families, err := b.to.Gather()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					if family.GetName() == "larder_fills_total" && label.GetValue() == outcome {
						return metric.GetCounter().GetValue() == want
					}
				}
			}
		}
		return false
	})
}

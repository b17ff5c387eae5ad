package hubsim

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestALayerIsAnArchiveOfExactlyTheSizeAskedFor(t *testing.T) {
	sizes := []int64{smallestArchive, 2048, 5000, 70_000, 1 << 20}
	// Around the size where one more chunk is needed.
	for off := int64(-600); off <= 600; off += 97 {
		sizes = append(sizes, chunkHead+chunkBody+gzipHead+gzipTail+off)
	}
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			l := newLayer(42, size)
			compressed, err := io.ReadAll(l.reader())
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(compressed)) != size || digest.FromBytes(compressed) != l.digest {
				t.Fatalf("%d bytes with digest %s, want %d with %s", len(compressed), digest.FromBytes(compressed), size, l.digest)
			}
			unzip, err := gzip.NewReader(bytes.NewReader(compressed))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(unzip)
			if err != nil {
				t.Fatal(err)
			}
			if got := digest.FromBytes(plain); got != l.diffID {
				t.Errorf("diff ID %s, want %s", got, l.diffID)
			}
			archive := tar.NewReader(bytes.NewReader(plain))
			header, err := archive.Next()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, archive); err != nil || n != header.Size {
				t.Errorf("file of %d bytes, want %d, %v", n, header.Size, err)
			}
		})
	}
}

func TestTinyLayersAreJustBytes(t *testing.T) {
	for _, size := range []int64{-1, 0, 1, smallestArchive - 1} {
		if l := newLayer(42, size); l.size != max(0, size) || l.diffID != l.digest {
			t.Errorf("size %d: got %d bytes, diff ID %s, digest %s", size, l.size, l.diffID, l.digest)
		}
	}
}

func TestAnyStretchOfALayerReadsAsPartOfTheWhole(t *testing.T) {
	l := newLayer(7, 300_000)
	whole, err := io.ReadAll(l.reader())
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		offset, length := random.Int64N(l.size), random.IntN(200_000)
		want := whole[offset:min(offset+int64(length), l.size)]
		got := make([]byte, length)
		n, err := l.ReadAt(got, offset)
		if !bytes.Equal(want, got[:n]) || (err != nil) != (n < length) {
			t.Fatalf("%d bytes at %d: got %d of %d, %v", length, offset, n, len(want), err)
		}
	}
}

func TestABigImageTakesNoMemory(t *testing.T) {
	hub := start(t, Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	hub.AddImage("library/big", "latest", Image{LayerSizes: []int64{16 << 20}})
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("a layer of 16 MiB allocated %d bytes", allocated)
	}
}

package tier_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/blobtest"
	"github.com/larder-registry/larder/internal/blob/tier"
)

func TestATierPassesTheSuite(t *testing.T) {
	blobtest.Run(t, func(t *testing.T, dir string) blob.Store {
		files, err := blob.OpenFiles(filepath.Join(dir, "files"))
		if err != nil {
			t.Fatal(err)
		}
		// One folder for each: a process has it alone.
		return above(t, files, t.TempDir(), 100*mebibyte)
	})
}

func TestABlobThatWasReadWholeIsReadFromAFileAfterwards(t *testing.T) {
	for _, size := range []int{1, 1000, 3 * mebibyte} {
		beneath := newFar(t)
		s := above(t, beneath, t.TempDir(), 10*mebibyte)
		p := content(1, size)
		key := put(t, s, p)
		wantRead(t, s, key, p)
		if !isKept(t, s, key) {
			t.Fatalf("a blob of %d bytes is not kept", size)
		}
		beneath.since()
		wantRead(t, s, key, p)
		if opened, _ := beneath.since(); opened != 0 {
			t.Errorf("the store beneath was asked %d times for a blob that is kept", opened)
		}
	}
}

func TestARangeDoesNotBringInTheWhole(t *testing.T) {
	beneath := newFar(t)
	s := above(t, beneath, t.TempDir(), 10*mebibyte)
	p := content(2, 3*mebibyte)
	key := put(t, s, p)
	f := open(t, s, key, digest.FromBytes(p))
	if _, err := f.Seek(-1000, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	closed(t, f)
	if err != nil || !bytes.Equal(got, p[len(p)-1000:]) {
		t.Errorf("read %d bytes, %v; want the last 1000", len(got), err)
	}
	if _, read := beneath.since(); read != 1000 {
		t.Errorf("%d bytes were read beneath for a range of 1000", read)
	}
	if isKept(t, s, key) {
		t.Error("a blob of which only a range was read is kept")
	}
}

func TestManyWhoAskAtOnceCauseOneDownload(t *testing.T) {
	beneath := newFar(t)
	s := above(t, beneath, t.TempDir(), 10*mebibyte)
	p := content(3, 3*mebibyte)
	key := put(t, s, p)
	// The download waits in its middle until all of them have read as far.
	var halfway, readers sync.WaitGroup
	beneath.spoiled(func(offset int64, q []byte) (int, error) {
		if offset >= mebibyte {
			halfway.Wait()
		}
		return len(q), nil
	})
	const many = 50
	halfway.Add(many)
	for range many {
		readers.Go(func() {
			f := open(t, s, key, digest.FromBytes(p))
			defer closed(t, f)
			first := make([]byte, mebibyte)
			_, err := io.ReadFull(f, first)
			halfway.Done()
			rest, failed := io.ReadAll(f)
			if err = errors.Join(err, failed); err != nil || !bytes.Equal(append(first, rest...), p) {
				t.Errorf("a reader got %d bytes, %v", len(first)+len(rest), err)
			}
		})
	}
	readers.Wait()
	if _, read := beneath.since(); read != int64(len(p)) {
		t.Errorf("%d readers caused %d bytes to be read beneath, want %d", many, read, len(p))
	}
}

func TestAReaderFarAheadReadsBeneath(t *testing.T) {
	beneath := newFar(t)
	s := above(t, beneath, t.TempDir(), 100*mebibyte)
	p := content(4, 12*mebibyte)
	key := put(t, s, p)
	hold := make(chan struct{})
	beneath.spoiled(func(offset int64, q []byte) (int, error) {
		if offset >= mebibyte && offset < 2*mebibyte {
			<-hold
		}
		return len(q), nil
	})
	first, second := open(t, s, key, ""), open(t, s, key, "")
	if _, err := io.ReadFull(first, make([]byte, mebibyte)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Seek(11*mebibyte, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(second); err != nil || !bytes.Equal(got, p[11*mebibyte:]) {
		t.Errorf("read %d bytes, %v; want the last mebibyte", len(got), err)
	}
	closed(t, second)
	close(hold)
	if got, err := io.ReadAll(first); err != nil || !bytes.Equal(got, p[mebibyte:]) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	closed(t, first)
}

func TestNobodyWaitsForWhatTheLastReaderLeaves(t *testing.T) {
	beneath := newFar(t)
	dir := t.TempDir()
	s := above(t, beneath, dir, 10*mebibyte)
	p := content(5, 3*mebibyte)
	key := put(t, s, p)
	left := make(chan struct{})
	beneath.spoiled(func(offset int64, q []byte) (int, error) {
		if offset >= mebibyte {
			<-left
			return 0, errors.New("asked for though nobody reads")
		}
		return len(q), nil
	})
	f := open(t, s, key, "")
	if _, err := io.ReadFull(f, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	closed(t, f)
	close(left)
	if isKept(t, s, key) {
		t.Error("half a blob is kept")
	}
	wantFiles(t, dir, 0)
}

// wantFiles counts what is in the tier's folder.
func wantFiles(t *testing.T, dir string, want int) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != want {
		t.Errorf("the folder holds %d files, %v; want %d: %v", len(found), err, want, found)
	}
}

func TestADeletedBlobIsGoneFromTheTierToo(t *testing.T) {
	beneath := newFar(t)
	dir := t.TempDir()
	s := above(t, beneath, dir, 10*mebibyte)
	p := content(6, mebibyte)
	key := put(t, s, p)
	wantRead(t, s, key, p)
	s.Settle()
	// And one that is coming in meanwhile.
	coming := content(7, 2*mebibyte)
	comingKey := put(t, s, coming)
	f := open(t, s, comingKey, "")
	if _, err := io.ReadFull(f, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{key, comingKey} {
		if err := s.Delete(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stat(t.Context(), k); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Stat after Delete: %v, want ErrNotFound", err)
		}
	}
	if _, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open after Delete: %v, want ErrNotFound", err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, coming[1000:]) {
		t.Errorf("who had it open read %d bytes more, %v", len(got), err)
	}
	closed(t, f)
	s.Settle()
	wantFiles(t, dir, 0)
}

func TestTheBlobsThatWereNotUsedForLongestMakeRoom(t *testing.T) {
	beneath := newFar(t)
	dir := t.TempDir()
	s := above(t, beneath, dir, 2500)
	var keys []string
	read := func(i int) { wantRead(t, s, keys[i], content(byte(i), 1000)); s.Settle() }
	for i := range 3 {
		keys = append(keys, put(t, s, content(byte(i), 1000)))
	}
	read(0)
	read(1)
	read(0)
	read(2)
	var got []bool
	for _, key := range keys {
		got = append(got, isKept(t, s, key))
	}
	if diff := cmp.Diff([]bool{true, false, true}, got); diff != "" {
		t.Errorf("which are kept (-want +got):\n%s", diff)
	}
	tooLarge := put(t, s, content(9, 3000))
	wantRead(t, s, tooLarge, content(9, 3000))
	if isKept(t, s, tooLarge) {
		t.Error("a blob larger than the tier is kept")
	}
	wantFiles(t, dir, 2)
}

func TestAfterARestartWholeFilesAreUsedAgainAndOthersRemoved(t *testing.T) {
	beneath := newFar(t)
	dir := t.TempDir()
	var keys []string
	first := above(t, beneath, dir, 10*mebibyte)
	for i := range 3 {
		p := content(byte(i), 1000)
		keys = append(keys, put(t, first, p))
		wantRead(t, first, keys[i], p)
	}
	first.Close()
	foreign := filepath.Join(dir, "notes.txt")
	for name, text := range map[string]string{foreign: "somebody's", filepath.Join(dir, "coming-12"): "half"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(fileOf(t, first, keys[1]), 999); err != nil {
		t.Fatal(err)
	}
	s := above(t, beneath, dir, 10*mebibyte)
	beneath.since()
	for i, want := range []int{0, 1, 0} {
		wantRead(t, s, keys[i], content(byte(i), 1000))
		s.Settle()
		if opened, _ := beneath.since(); min(opened, 1) != want {
			t.Errorf("blob %d was opened %d times beneath, want it %d", i, opened, want)
		}
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file that is not the tier's: %v", err)
	}
	wantFiles(t, dir, 4)
	s.Close()
	above(t, beneath, dir, 2000) // a smaller one
	wantFiles(t, dir, 3)
}

// fileOf is the file that keeps a blob.
func fileOf(t *testing.T, s *tier.Store, key string) string {
	t.Helper()
	f, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, f)
	file, ok := f.(interface{ Name() string })
	if !ok {
		t.Fatal("the blob is not kept")
	}
	return file.Name()
}

func TestReadsAreCounted(t *testing.T) {
	to := prometheus.NewPedanticRegistry()
	s, err := tier.Open(newFar(t), tier.Config{Dir: t.TempDir(), Size: mebibyte, Metrics: tier.NewMetrics(to)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := content(10, 1000)
	key := put(t, s, p)
	for range 3 {
		wantRead(t, s, key, p)
		s.Settle()
	}
	want := `
# HELP larder_hot_bytes Bytes of the blobs in the local folder.
# TYPE larder_hot_bytes gauge
larder_hot_bytes 1000
# HELP larder_hot_reads_total Blobs opened, by where they came from: hit is the local folder, joined one that was on its way into it, miss the storage.
# TYPE larder_hot_reads_total counter
larder_hot_reads_total{result="hit"} 2
larder_hot_reads_total{result="joined"} 0
larder_hot_reads_total{result="miss"} 1
`
	if err := testutil.GatherAndCompare(to, strings.NewReader(want), "larder_hot_bytes", "larder_hot_reads_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(to); err != nil || len(problems) > 0 {
		t.Errorf("the metrics' names: %v, %v", problems, err)
	}
}

func TestADamagedCopyIsDroppedAndTheBlobReadFromBeneath(t *testing.T) {
	s := above(t, newFar(t), t.TempDir(), 10*mebibyte)
	p := content(11, 2000)
	key := put(t, s, p)
	wantRead(t, s, key, p)
	s.Settle()
	if err := os.WriteFile(fileOf(t, s, key), content(12, 2000), 0o600); err != nil {
		t.Fatal(err)
	}
	if !s.DropCopy(key) {
		t.Error("there was no copy")
	}
	wantRead(t, s, key, p)
	s.Settle()
	if err := s.SetAside(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if s.DropCopy(key) {
		t.Error("a copy of what was set aside is left")
	}
	if _, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("what was set aside is opened: %v", err)
	}
}

package s3_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/larder-registry/larder/internal/testkit/s3test"
)

func TestABodyThatIsCutAgainAndAgainIsReadOn(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	store := open(t, c)
	want := content(100_000)
	key := put(t, store, want)
	p.Fail(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodGet {
			return s3test.CutAnswer
		}
		return nil
	})
	// Each answer holds half of what is left, down to the last byte, whose half is
	// nothing.
	f, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got, err := io.ReadAll(f)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, want[:len(want)-1]) {
		t.Errorf("read %d bytes, %v; want all but the last of %d", len(got), err, len(want))
	}
}

func TestRunsOfBytesAreReadWithOneRequestEach(t *testing.T) {
	t.Parallel()
	c := config(t.TempDir())
	p := throughProxy(t, &c)
	store := open(t, c)
	want := content(1 << 20)
	key := put(t, store, want)
	p.Seen("")
	wantBlob(t, store, key, want)
	if gets := p.Seen(http.MethodGet); gets != 1 {
		t.Errorf("a sequential read takes %d requests, want 1", gets)
	}
	f, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, whence := range []int{io.SeekEnd, io.SeekStart} {
		if _, err := f.Seek(0, whence); err != nil {
			t.Fatal(err)
		}
	}
	if gets := p.Seen(http.MethodGet); gets != 0 {
		t.Errorf("seeking takes %d requests, want none", gets)
	}
	if _, err := f.Seek(1<<19, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want[1<<19:]) {
		t.Errorf("read %d bytes, %v; want the second half", len(got), err)
	}
	if gets := p.Seen(http.MethodGet); gets != 1 {
		t.Errorf("a range takes %d requests, want 1", gets)
	}
}

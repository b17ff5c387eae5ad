package tier_test

import (
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/blob"
)

// wantIdentity compares what is told of a blob that is open.
func wantIdentity(t *testing.T, what string, f io.ReadSeekCloser, want string, near bool) {
	t.Helper()
	opened, ok := f.(blob.Opened)
	if !ok {
		t.Fatalf("%s tells nothing of its bytes", what)
	}
	got, err := opened.Identity()
	if err != nil || opened.Near() != near || (got == want) == near {
		t.Errorf("%s has identity %q, %v, and is near: %v; the store beneath has %q", what, got, err, opened.Near(), want)
	}
}

func TestWhatIsNotKeptHasTheIdentityOfTheStoreBeneath(t *testing.T) {
	beneath := newFar(t)
	beneath.tag = "first"
	s := above(t, beneath, t.TempDir(), 10*mebibyte)
	p := content(1, 2*mebibyte)
	key := put(t, s, p)
	hold := make(chan struct{})
	beneath.spoiled(func(offset int64, q []byte) (int, error) {
		if offset >= mebibyte {
			<-hold
		}
		return len(q), nil
	})
	first := open(t, s, key, digest.FromBytes(p))
	wantIdentity(t, "a blob that is not kept", first, "first", false)
	if _, err := io.ReadFull(first, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, "one that is coming in", first, "first", false)
	second := open(t, s, key, digest.FromBytes(p))
	wantIdentity(t, "one that is joined", second, "first", false)
	close(hold)
	for _, f := range []io.ReadSeekCloser{first, second} {
		if _, err := io.Copy(io.Discard, f); err != nil {
			t.Error(err)
		}
		closed(t, f)
	}
	s.Settle()
	kept := open(t, s, key, digest.FromBytes(p))
	defer closed(t, kept)
	wantIdentity(t, "one that is kept", kept, "first", true)
}

func TestAReaderIsNeverGivenBytesOfTwoIdentities(t *testing.T) {
	beneath := newFar(t)
	dir := t.TempDir()
	s := above(t, beneath, dir, 10*mebibyte)
	p := content(2, 2*mebibyte)
	key := put(t, s, p)
	changed := func(tag string) { beneath.mu.Lock(); defer beneath.mu.Unlock(); beneath.tag = tag }

	changed("first")
	f := open(t, s, key, digest.FromBytes(p))
	changed("second")
	if got, err := io.ReadAll(f); err != nil || len(got) != len(p) {
		t.Errorf("who had opened the first reads %d bytes, %v", len(got), err)
	}
	wantIdentity(t, "it", f, "first", false)
	closed(t, f)
	s.Settle()
	wantFiles(t, dir, 0)

	// The download of the second breaks off, and the store has a third by then.
	held, hold, failed := make(chan struct{}, 1), make(chan struct{}), errors.New("broken off")
	beneath.spoiled(func(offset int64, q []byte) (int, error) {
		if offset < mebibyte {
			return len(q), nil
		}
		held <- struct{}{}
		<-hold
		return 0, failed
	})
	leader, joined := open(t, s, key, ""), io.ReadSeekCloser(nil)
	if _, err := io.ReadFull(leader, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	joined = open(t, s, key, "")
	<-held
	changed("third")
	beneath.spoiled(nil)
	close(hold)
	if got, err := io.ReadAll(joined); err == nil {
		t.Errorf("read %d bytes of two blobs", len(got))
	}
	closed(t, leader)
	closed(t, joined)
}

package registry_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
)

func (h *house) start(alg digest.Algorithm) string {
	h.t.Helper()
	id, err := h.StartUpload(h.t.Context(), app, alg)
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) append(id string, content []byte) int64 {
	h.t.Helper()
	offset, err := h.AppendUpload(h.t.Context(), app, id, nil, bytes.NewReader(content))
	if err != nil {
		h.t.Fatal(err)
	}
	return offset
}

func (h *house) offset(id string) int64 {
	h.t.Helper()
	offset, err := h.UploadStatus(h.t.Context(), app, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return offset
}

// leftovers counts the files that unfinished uploads have left.
func (h *house) leftovers() int {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.dir, "storage", "uploads"))
	if err != nil {
		h.t.Fatal(err)
	}
	return len(entries)
}

func TestAnUploadSurvivesARestart(t *testing.T) {
	h := newHouse(t)
	content := random(t, 300_000)
	id := h.start(digest.SHA256)
	h.append(id, content[:200_000])
	h.restart()
	if got := h.offset(id); got != 200_000 {
		t.Fatalf("offset %d after the restart", got)
	}
	d := digest.FromBytes(content)
	if err := h.FinishUpload(t.Context(), app, id, d, nil, bytes.NewReader(content[200_000:])); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, h.readBlob(app, d)) {
		t.Error("the blob has other bytes than were uploaded")
	}
	_, err := h.UploadStatus(t.Context(), app, id)
	expectCode(t, oci.CodeBlobUploadUnknown, err)
}

func TestAnUploadCanBeFinishedWithTheDigestOfAnotherAlgorithm(t *testing.T) {
	content := random(t, 5000)
	for _, begun := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, finished := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			t.Run(begun.String()+" then "+finished.String(), func(t *testing.T) {
				h := newHouse(t)
				id := h.start(begun)
				h.append(id, content[:1000])
				d := finished.FromBytes(content)
				if err := h.FinishUpload(t.Context(), app, id, d, nil, bytes.NewReader(content[1000:])); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(content, h.readBlob(app, d)) {
					t.Error("the blob has other bytes than were uploaded")
				}
			})
		}
	}
}

func TestABrokenChunkKeepsWhatArrived(t *testing.T) {
	h := newHouse(t)
	content := random(t, 1000)
	id := h.start(digest.SHA256)
	_, err := h.AppendUpload(t.Context(), app, id, nil, breaking(content[:600]))
	expectCode(t, oci.CodeBlobUploadInvalid, err)
	if got := h.offset(id); got != 600 {
		t.Fatalf("offset %d, want 600", got)
	}
	d := digest.FromBytes(content)
	err = h.FinishUpload(t.Context(), app, id, d, nil, breaking(content[600:900]))
	expectCode(t, oci.CodeBlobUploadInvalid, err)
	if got := h.offset(id); got != 900 {
		t.Fatalf("offset %d, want 900", got)
	}
	start := int64(900)
	if err := h.FinishUpload(t.Context(), app, id, d, &start, bytes.NewReader(content[900:])); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, h.readBlob(app, d)) {
		t.Error("the blob has other bytes than were uploaded")
	}
}

func TestAChunkIsKeptWhenItsClientHasGone(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	ctx, cancel := context.WithCancel(t.Context())
	body := breaking([]byte("hello"))
	_, err := h.AppendUpload(ctx, app, id, nil, readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p)
		if err != nil {
			cancel()
		}
		return n, err
	}))
	expectCode(t, oci.CodeBlobUploadInvalid, err)
	if got := h.offset(id); got != 5 {
		t.Errorf("offset %d, want 5", got)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestChunksOutOfOrderAreRefused(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	h.append(id, []byte("0123456789"))
	for _, start := range []int64{0, 9, 11} {
		_, err := h.AppendUpload(t.Context(), app, id, &start, strings.NewReader("x"))
		expectCode(t, oci.CodeRangeInvalid, err)
		expectCode(t, oci.CodeRangeInvalid, h.FinishUpload(t.Context(), app, id, digest.FromString("x"), &start, strings.NewReader("x")))
	}
	if got := h.offset(id); got != 10 {
		t.Errorf("offset %d, want 10", got)
	}
}

func TestAWrongDigestLeavesNothing(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	h.append(id, []byte("some"))
	d := digest.FromString("other bytes")
	expectCode(t, oci.CodeDigestInvalid, h.FinishUpload(t.Context(), app, id, d, nil, strings.NewReader("thing")))
	expectCode(t, oci.CodeDigestInvalid, h.PutBlob(t.Context(), app, d, strings.NewReader("something")))
	_, err := h.UploadStatus(t.Context(), app, id)
	expectCode(t, oci.CodeBlobUploadUnknown, err)
	_, _, err = h.StatBlob(t.Context(), oci.Caller{}, app, d)
	expectCode(t, oci.CodeBlobUnknown, err)
	if n := h.leftovers(); n != 0 {
		t.Errorf("%d files are left of uploads that failed", n)
	}
}

func TestABrokenPostLeavesNothing(t *testing.T) {
	h := newHouse(t)
	expectCode(t, oci.CodeBlobUploadInvalid, h.PutBlob(t.Context(), app, digest.FromString("hello"), breaking([]byte("hel"))))
	if n := h.leftovers(); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestACanceledUploadIsGone(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	h.append(id, []byte("some"))
	expectCode(t, oci.CodeBlobUploadUnknown, h.CancelUpload(t.Context(), other, id))
	if err := h.CancelUpload(t.Context(), app, id); err != nil {
		t.Fatal(err)
	}
	expectCode(t, oci.CodeBlobUploadUnknown, h.CancelUpload(t.Context(), app, id))
	if n := h.leftovers(); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestAnUploadWhoseBytesAreGoneIsUnknown(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	h.append(id, []byte("some"))
	uploads := filepath.Join(h.dir, "storage", "uploads")
	if err := os.RemoveAll(uploads); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(uploads, 0o750); err != nil {
		t.Fatal(err)
	}
	_, err := h.AppendUpload(t.Context(), app, id, nil, strings.NewReader("more"))
	expectCode(t, oci.CodeBlobUploadUnknown, err)
}

// gate is a body that waits before its first byte.
type gate struct {
	entered, open chan struct{}
	rest          *strings.Reader
}

func newGate(content string) *gate {
	return &gate{entered: make(chan struct{}), open: make(chan struct{}), rest: strings.NewReader(content)}
}

func (g *gate) Read(p []byte) (int, error) {
	if g.entered != nil {
		close(g.entered)
		g.entered = nil
		<-g.open
	}
	return g.rest.Read(p)
}

// appendsUntil has begun to append a text to an upload, which ends when the gate is opened.
func (h *house) appendsUntil(id, text string) (_ *gate, done chan error) {
	g := newGate(text)
	entered := g.entered // which reading takes away
	done = make(chan error, 1)
	go func() {
		_, err := h.AppendUpload(h.t.Context(), app, id, nil, g)
		done <- err
	}()
	<-entered
	return g, done
}

func TestOneRequestAtATimeWritesAnUpload(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	first, firstDone := h.appendsUntil(id, "first ")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	if _, err := h.AppendUpload(ctx, app, id, nil, strings.NewReader("lost")); !errors.Is(err, gone) {
		t.Errorf("a second writer whose client has gone got %v", err)
	}
	close(first.open)
	h.append(id, []byte("second"))
	if err := <-firstDone; err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("first second")
	if err := h.FinishUpload(t.Context(), app, id, d, nil, bytes.NewReader(nil)); err != nil {
		t.Error(err)
	}
}

func TestASecondWriterDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registry.NewSessionsForTest()
		release, err := r(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		_, err = r(t.Context(), "id")
		if !errors.Is(err, registry.ErrUploadBusy) {
			t.Errorf("got %v", err)
		}
		expectCode(t, oci.CodeBlobUploadInvalid, err)
	})
}

func TestManyUploadsAtOnceStoreOneBlob(t *testing.T) {
	h := newHouse(t)
	content := random(t, 50_000)
	d := digest.FromBytes(content)
	failures := make(chan error, 8)
	for i := range cap(failures) {
		repo := oci.Repository("demo/app" + string(rune('a'+i)))
		go func() { failures <- h.PutBlob(t.Context(), repo, d, bytes.NewReader(content)) }()
	}
	for range cap(failures) {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(content, h.readBlob("demo/appa", d)); diff != "" {
		t.Error("the blob has other bytes than were uploaded")
	}
}

func TestAnUploadThatAnotherReplicaTookIsNotMadeABlob(t *testing.T) {
	h := newHouse(t)
	id := h.start(digest.SHA256)
	h.append(id, []byte("first "))
	d := digest.FromString("first second")
	err := h.FinishLostUploadForTest(t.Context(), app, id, d, strings.NewReader("second"))
	if expectCode(t, oci.CodeBlobUploadInvalid, err); !errors.Is(err, metadata.ErrLeaseLost) {
		t.Errorf("got %v", err)
	}
	if n := h.stored(); n != 0 {
		t.Errorf("%d blobs are in storage", n)
	}
	if err := h.FinishUpload(t.Context(), app, id, d, nil, strings.NewReader("second")); err != nil {
		t.Error(err)
	}
}

package distribution

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/larder-registry/larder/internal/oci"
)

// heldWriter withholds the last byte that was written to it until release, so that a
// response, whole or partial, is complete only when its blob has been verified. It
// flushes what it lets through: the client gets bytes as they arrive.
type heldWriter struct {
	http.ResponseWriter
	paced   *pacedWriter
	last    [1]byte
	holding bool
}

func newHeldWriter(w *pacedWriter) *heldWriter {
	return &heldWriter{ResponseWriter: w, paced: w}
}

// Write takes all of p and passes on all but its last byte.
func (w *heldWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := w.release(); err != nil {
		return 0, err
	}
	n, err := w.ResponseWriter.Write(p[:len(p)-1])
	if err != nil {
		return n, err
	}
	w.last[0], w.holding = p[len(p)-1], true
	if err := w.paced.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return n, err
	}
	w.paced.pause() // more may be long in coming
	return len(p), nil
}

// release passes on the byte that is withheld.
func (w *heldWriter) release() error {
	if !w.holding {
		return nil
	}
	w.holding = false
	_, err := w.ResponseWriter.Write(w.last[:])
	return err
}

// heldFile is a heldWriter that leaves the server's own ways of sending and buffering:
// what it sends is there already.
type heldFile struct{ *heldWriter }

// Write takes all of p and passes on all but its last byte.
func (w heldFile) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := w.release(); err != nil {
		return 0, err
	}
	n, err := w.paced.Write(p[:len(p)-1])
	if err != nil {
		return n, err
	}
	w.last[0], w.holding = p[len(p)-1], true
	return len(p), nil
}

// ReadFrom passes on all but the last byte of src, a file as the kernel does it.
func (w heldFile) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok || limited.N <= 0 {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	if err := w.release(); err != nil {
		return 0, err
	}
	limited.N--
	n, err := w.paced.ReadFrom(limited)
	if err != nil || limited.N > 0 {
		return n, err
	}
	limited.N = 1
	if _, err := io.ReadFull(limited, w.last[:]); err != nil {
		return n, err
	}
	w.holding = true
	return n + 1, nil
}

// followed remembers that reading a blob failed, which http.ServeContent does not tell.
type followed struct {
	io.ReadSeeker
	failure atomic.Pointer[error]
}

func (f *followed) Read(p []byte) (int, error) {
	n, err := f.ReadSeeker.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.failure.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (f *followed) err() error {
	if failure := f.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// sendFollowed sends a blob whose bytes may still be coming in and be wrong. Once the
// response has begun, a failure aborts the connection: the body never ends cleanly.
func (h *Handler) sendFollowed(ctx context.Context, x *exchange, blob oci.Blob) error {
	if blob.Size() == 0 { // nothing could be withheld
		if err := blob.Verified(ctx); err != nil {
			return err
		}
	}
	if err := sendWithheld(ctx, x.w, x.r, blob); err != nil {
		h.abort(x, err)
	}
	return nil
}

// sendWithheld sends a blob or a range of it, and the last byte once the whole has been
// verified. After an error the connection has to be aborted.
func sendWithheld(ctx context.Context, w *pacedWriter, r *http.Request, blob oci.Blob) error {
	size := blob.Size()
	held, source := newHeldWriter(w), &followed{ReadSeeker: blob}
	var err error
	if size < 0 {
		_, err = io.Copy(struct{ io.Writer }{held}, source)
	} else {
		serveContent(held, r, source)
		err = source.err()
	}
	if err == nil && (held.holding || size < 0) { // else there is no body: a condition of the request decided so
		err = blob.Verified(ctx)
	}
	if err != nil {
		return err
	}
	return held.release()
}

// abort ends the connection so that the client sees that its response is not whole.
func (h *Handler) abort(x *exchange, err error) {
	_ = h.explained(x, h.note(x, err), err)
	panic(http.ErrAbortHandler)
}

package distribution

import (
	"io"
	"net/http"
	"time"
)

// pieceSize is how much is sent with one deadline where the kernel copies.
const pieceSize = 1 << 20

// pacedWriter moves the connection's write deadline along as the client takes bytes,
// so that a client which takes none is not waited for, however large the response.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    pace
	written int64
}

// newPacedWriter takes over from the server's own deadline, which would count the time
// that an upload takes.
func newPacedWriter(w http.ResponseWriter, stall time.Duration, now func() time.Time) *pacedWriter {
	paced := &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), pace: pace{stall: stall, now: now}}
	paced.pause()
	return paced
}

// Unwrap lets http.ResponseController find the server's own writer.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// ReadFrom keeps the server's way of sending a file without copying it (sendfile): it
// hands the source on in pieces, each with a deadline of its own.
func (w *pacedWriter) ReadFrom(src io.Reader) (total int64, err error) {
	inner, ok := w.ResponseWriter.(io.ReaderFrom)
	limited, isLimited := src.(*io.LimitedReader)
	if !ok || !isLimited {
		return io.Copy(struct{ io.Writer }{w}, src)
	}
	for limited.N > 0 {
		w.extend()
		want := min(limited.N, pieceSize)
		n, err := inner.ReadFrom(&io.LimitedReader{R: limited.R, N: want})
		total += n
		limited.N -= n
		w.written += n
		if err != nil || n < want {
			return total, err
		}
	}
	return total, nil
}

// pause clears the deadline while nothing is there to be sent: it is not the client
// that is waited for.
func (w *pacedWriter) pause() {
	w.pace.set = time.Time{}
	_ = w.control.SetWriteDeadline(time.Time{})
}

// finish gives a deadline to what the server sends when the handler has returned.
func (w *pacedWriter) finish() {
	w.pace.set = time.Time{}
	w.extend()
}

func (w *pacedWriter) extend() {
	if deadline, due := w.pace.next(); due {
		_ = w.control.SetWriteDeadline(deadline) // a writer without deadlines, as in tests, has no stall either
	}
}

// pacedBody does the same for the bytes that a client sends.
type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	pace    pace
}

func newPacedBody(w http.ResponseWriter, body io.ReadCloser, stall time.Duration, now func() time.Time) io.ReadCloser {
	if body == nil || body == http.NoBody {
		return body
	}
	return &pacedBody{ReadCloser: body, control: http.NewResponseController(w), pace: pace{stall: stall, now: now}}
}

// Read clears the deadline at the end of the body: it would otherwise end the
// connection while the request is still being worked on.
func (b *pacedBody) Read(p []byte) (int, error) {
	if deadline, due := b.pace.next(); due {
		_ = b.control.SetReadDeadline(deadline)
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// pace tells when a deadline has to be moved: at first, and then each time that an
// eighth of it has gone by.
type pace struct {
	stall time.Duration
	now   func() time.Time
	set   time.Time
}

func (p *pace) next() (deadline time.Time, due bool) {
	now := p.now()
	if now.Sub(p.set) < p.stall/8 {
		return time.Time{}, false
	}
	p.set = now
	return now.Add(p.stall), true
}

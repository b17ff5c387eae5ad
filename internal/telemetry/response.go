package telemetry

import (
	"io"
	"net/http"
)

// response counts what goes through it to the client.
type response struct {
	http.ResponseWriter
	record Record
	id     string
	head   bool  // a body is not sent, whatever is written
	status int   // 0 until the header is sent
	sent   int64 // bytes of the body
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader passes 1xx answers on without taking them for the final one.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
		if status >= http.StatusBadRequest {
			w.Header().Set(requestIDHeader, w.id)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(p)
	w.count(int64(n))
	return n, err
}

// ReadFrom keeps the way open on which net/http has the kernel copy a file to
// the connection.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	unsent := w.status == 0
	w.begin()
	n, err := io.Copy(w.ResponseWriter, src)
	if n == 0 && unsent {
		// The header waits for a first byte, so another status may still follow.
		w.status = 0
	}
	w.count(n)
	return n, err
}

// FlushError serves http.ResponseController: a flush sends the header.
func (w *response) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// begin notes the status that net/http sends with the first byte.
func (w *response) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

func (w *response) count(n int64) {
	if !w.head {
		w.sent += n
	}
}

package hubsim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// meetFaults lets a request meet the fault that waits for it, if any: done
// reports that it has been answered. Otherwise the answer shall be written to
// the returned writer, where faults on content wait.
func (h *Hub) meetFaults(w http.ResponseWriter, r *http.Request, t target, c caller) (answer http.ResponseWriter, done bool) {
	if f := h.faults.strike(r.Method, t, false); f != nil && h.answerFault(w, r, t, c, f) {
		return w, true
	}
	if r.Method != http.MethodGet {
		return w, false
	}
	return &faultWriter{ResponseWriter: w, hub: h, request: r, target: t}, false
}

// answerFault does what the fault says; false means that the request goes on.
func (h *Hub) answerFault(w http.ResponseWriter, r *http.Request, t target, c caller, f *activeFault) bool {
	switch f.Kind {
	case Down:
		panic(http.ErrAbortHandler)
	case Page200:
		writePage(w, http.StatusOK)
	case Status500:
		writePage(w, http.StatusInternalServerError)
	case Status502:
		writePage(w, http.StatusBadGateway)
	case Status503:
		writePage(w, http.StatusServiceUnavailable)
	case Unauthorized401:
		if t.service == Auth {
			refuseLogin(w)
		} else {
			h.challenge(w, t, errExpiredToken)
		}
	case Forbidden403:
		writeError(w, http.StatusForbidden, apiError{Code: "DENIED", Message: "requested access to the resource is denied"})
	case NotFound404:
		writeUnknown(w, t)
	case StalledBeforeHeaders:
		h.stall(r, f)
	case PullLimit429:
		if a := h.allowance(c.account, c.address); a.limit >= 0 {
			h.rateLimitHeaders(w, a, 0)
		}
		writePullLimit(w)
	case AbuseLimit429:
		writeAbuseLimit(w)
	case Slow:
		h.pause(r, f.Delay, f.ended)
		return false
	case IgnoreRange:
		r.Header.Del("Range")
		return false
	default:
		return false
	}
	return true
}

// writePage answers as a load balancer does, which speaks no JSON.
func writePage(w http.ResponseWriter, status int) {
	page := fmt.Sprintf("<html><body><h1>%d %s</h1></body></html>\n", status, http.StatusText(status))
	writeBody(w, status, "text/html", []byte(page))
}

// stall keeps the client waiting, then drops the connection.
func (h *Hub) stall(r *http.Request, f *activeFault) {
	select {
	case <-r.Context().Done():
	case <-h.closing:
	case <-f.ended:
	}
	panic(http.ErrAbortHandler)
}

// faultWriter spoils the body of a successful answer.
type faultWriter struct {
	http.ResponseWriter
	hub     *Hub
	request *http.Request
	target  target

	begun    bool
	fault    *activeFault // nil when the answer is to be sound
	position int64        // of the next byte, in the whole content
	sent     int64
}

// Unwrap lets http.ResponseController find the connection's writer.
func (w *faultWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the status; a successful one meets its fault here.
func (w *faultWriter) WriteHeader(status int) {
	w.begun = true
	if status == http.StatusOK || status == http.StatusPartialContent {
		w.fault = w.hub.faults.strike(w.request.Method, w.target, true)
	}
	if w.fault == nil {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.position = rangeStart(w.Header().Get("Content-Range"))
	if w.fault.Kind == ShortBody {
		if length, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil {
			w.Header().Set("Content-Length", strconv.FormatInt(min(length, w.fault.Bytes), 10))
		}
	}
	w.ResponseWriter.WriteHeader(status)
	if w.fault.Bytes <= 0 {
		w.stop()
	}
}

// Write sends what the fault leaves of the body.
func (w *faultWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.fault == nil {
		return w.ResponseWriter.Write(p)
	}
	if w.fault.Kind == FlipByte {
		return w.writeFlipped(p)
	}
	room := max(0, min(int64(len(p)), w.fault.Bytes-w.sent))
	if room > 0 {
		n, err := w.ResponseWriter.Write(p[:room])
		w.sent += int64(n)
		if err != nil {
			return n, err
		}
	}
	if room < int64(len(p)) {
		w.stop()
	}
	// The rest of a short body is dropped in silence.
	return len(p), nil
}

func (w *faultWriter) writeFlipped(p []byte) (int, error) {
	if at := w.fault.Bytes - w.position; at >= 0 && at < int64(len(p)) {
		flipped := append([]byte(nil), p...)
		flipped[at] ^= 0x01
		p = flipped
	}
	n, err := w.ResponseWriter.Write(p)
	w.position += int64(n)
	return n, err
}

// stop ends the answer where CutAfter and Stalled want it to end, once the
// client has been sent what comes before.
func (w *faultWriter) stop() {
	if w.fault.Kind != CutAfter && w.fault.Kind != Stalled {
		return
	}
	// Without a flush the connection is gone, which is what comes next anyway.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	if w.fault.Kind == Stalled {
		w.hub.stall(w.request, w.fault)
	}
	panic(http.ErrAbortHandler)
}

// rangeStart reads the first offset of a Content-Range (RFC 9110, §14.4).
func rangeStart(contentRange string) int64 {
	first, _, _ := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0
	}
	return start
}

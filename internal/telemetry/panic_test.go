package telemetry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAnAbortedAnswerIsLoggedAndGoesOn(t *testing.T) {
	for _, abort := range []error{http.ErrAbortHandler, fmt.Errorf("blob is wrong: %w", http.ErrAbortHandler)} {
		h := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
			RecordOf(w).Cause = errors.New("digest mismatch")
			_, _ = io.WriteString(w, "part")
			panic(abort)
		})
		if _, cut := h.serve(httptest.NewRequest(http.MethodGet, "/", nil)); !cut {
			t.Error("the connection is not cut")
		}
		line := h.line(t)
		if line["status"] != "aborted" || line["bytes"] != 4.0 || line["cause"] != "digest mismatch" {
			t.Errorf("log line: %v", line)
		}
		if got := testutil.ToFloat64(h.metrics.panics); got != 0 {
			t.Errorf("%v panics are counted", got)
		}
		if got := testutil.ToFloat64(h.metrics.requests.WithLabelValues("other", "GET", "aborted", "none")); got != 1 {
			t.Errorf("%v aborted requests are counted", got)
		}
	}
}

func TestAPanicBeforeTheAnswerIsA500(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Docker-Content-Digest", "sha256:abc")
		panic("out of cheese")
	})
	w, cut := h.serve(httptest.NewRequest(http.MethodGet, "/v2/", nil))
	if cut || w.Code != http.StatusInternalServerError {
		t.Errorf("answer is %d, connection cut: %v", w.Code, cut)
	}
	id := w.Header().Get("X-Request-Id")
	if id == "" || !strings.Contains(w.Body.String(), id) || strings.Contains(w.Body.String(), "cheese") {
		t.Errorf("answer with id %q is %q", id, w.Body)
	}
	for _, name := range []string{"Content-Length", "Docker-Content-Digest"} {
		if got := w.Header().Get(name); got != "" {
			t.Errorf("%s of another answer is left: %s", name, got)
		}
	}
	lines := h.lines(t)
	if len(lines) != 2 {
		t.Fatalf("%d log lines, want 2: %v", len(lines), lines)
	}
	stack, ok := lines[0]["stack"].(string)
	if lines[0]["level"] != "ERROR" || lines[0]["panic"] != "out of cheese" || lines[0]["request_id"] != id || !ok || !strings.Contains(stack, "panic_test.go") {
		t.Errorf("first line: %v", lines[0])
	}
	if lines[1]["msg"] != "request" || lines[1]["status"] != 500.0 {
		t.Errorf("second line: %v", lines[1])
	}
	if got := testutil.ToFloat64(h.metrics.panics); got != 1 {
		t.Errorf("%v panics are counted, want 1", got)
	}
	if got := testutil.ToFloat64(h.metrics.inFlight); got != 0 {
		t.Errorf("%v requests are in flight after the last", got)
	}
}

func TestAPanicAmidAnAnswerCutsTheConnection(t *testing.T) {
	h := wrap(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "part")
		panic("out of cheese")
	})
	server := httptest.NewServer(h)
	answer, err := server.Client().Get(server.URL)
	if err == nil {
		// What was written may have left before the cut.
		_, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
	}
	server.Close() // waits for the handler
	if err == nil {
		t.Error("the client takes the part for a whole answer")
	}
	lines := h.lines(t)
	if len(lines) != 2 || lines[0]["panic"] != "out of cheese" || lines[1]["status"] != "aborted" {
		t.Errorf("log lines: %v", lines)
	}
}

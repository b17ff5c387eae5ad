package distribution

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wire is a server's writer that records deadlines and what it is given to send.
type wire struct {
	*httptest.ResponseRecorder
	pieces []int64
	writes []time.Time
	reads  []time.Time
}

func (w *wire) ReadFrom(src io.Reader) (int64, error) {
	limited, ok := src.(*io.LimitedReader)
	if !ok {
		return 0, io.ErrNoProgress
	}
	w.pieces = append(w.pieces, limited.N)
	return io.Copy(w.Body, limited)
}

func (w *wire) SetWriteDeadline(at time.Time) error { w.writes = append(w.writes, at); return nil }
func (w *wire) SetReadDeadline(at time.Time) error  { w.reads = append(w.reads, at); return nil }

// ticking is a clock that moves with each look.
func ticking(step time.Duration) func() time.Time {
	at := time.Unix(1000, 0)
	return func() time.Time {
		at = at.Add(step)
		return at
	}
}

func TestAFileIsHandedToTheServerInPieces(t *testing.T) {
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	paced := newPacedWriter(w, time.Minute, ticking(time.Minute))
	content := bytes.Repeat([]byte("x"), 2*pieceSize+7)
	n, err := io.CopyN(paced, bytes.NewReader(content), int64(len(content)))
	if n != int64(len(content)) || err != nil || paced.written != n {
		t.Fatalf("sent %d (%d), %v", n, paced.written, err)
	}
	if diff := cmp.Diff([]int64{pieceSize, pieceSize, 7}, w.pieces); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
	if len(w.writes) != 4 || !w.writes[0].IsZero() {
		t.Errorf("deadlines %v, want none and then one for each of 3 pieces", w.writes)
	}
	if !bytes.Equal(content, w.Body.Bytes()) {
		t.Error("other bytes were sent")
	}
}

func TestAShortFileEndsThePieces(t *testing.T) {
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	paced := newPacedWriter(w, time.Minute, time.Now)
	if n, _ := io.CopyN(paced, strings.NewReader("short"), 3*pieceSize); n != 5 || len(w.pieces) != 1 {
		t.Errorf("sent %d bytes in %d pieces", n, len(w.pieces))
	}
}

func TestDeadlinesMoveWithProgress(t *testing.T) {
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	paced := newPacedWriter(w, 8*time.Minute, ticking(20*time.Second))
	for range 9 {
		if _, err := io.WriteString(paced, "x"); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Unix(1000, 0)
	want := []time.Time{{}, begin.Add(20*time.Second + 8*time.Minute), begin.Add(80*time.Second + 8*time.Minute), begin.Add(140*time.Second + 8*time.Minute)}
	if diff := cmp.Diff(want, w.writes); diff != "" {
		t.Errorf("deadlines (-want +got):\n%s", diff)
	}
}

func TestTheClientIsNotBlamedForAPauseOfTheSource(t *testing.T) {
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	paced := newPacedWriter(w, time.Minute, ticking(time.Second))
	held := newHeldWriter(paced)
	if _, err := io.WriteString(held, "hello"); err != nil {
		t.Fatal(err)
	}
	if last := w.writes[len(w.writes)-1]; !last.IsZero() {
		t.Errorf("the deadline %v runs while nothing is sent", last)
	}
	paced.finish()
	if last := w.writes[len(w.writes)-1]; last.IsZero() {
		t.Error("what the server sends at the end has no deadline")
	}
}

func TestTheReadDeadlineIsClearedAtTheEndOfTheBody(t *testing.T) {
	w := &wire{ResponseRecorder: httptest.NewRecorder()}
	body := newPacedBody(w, io.NopCloser(strings.NewReader("hello")), time.Minute, ticking(time.Second))
	if _, err := io.ReadAll(body); err != nil {
		t.Fatal(err)
	}
	if len(w.reads) < 2 || w.reads[0].IsZero() || !w.reads[len(w.reads)-1].IsZero() {
		t.Errorf("deadlines %v", w.reads)
	}
	if newPacedBody(w, http.NoBody, time.Minute, time.Now) != http.NoBody {
		t.Error("an empty body was wrapped: the server takes it for one of unknown length")
	}
}

package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestALineSaysNowAndThenThatTheWorkGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		l := newLines(w, "working")
		time.Sleep(linesPause + time.Second)
		if err := l.write("found"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * linesPause)
		l.end()
		if diff := cmp.Diff("\"working\"\n\"found\"\n\"working\"\n", w.Body.String()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if !w.Flushed {
			t.Error("nothing was sent before the end")
		}
	})
}

// deaf is a client that has gone.
type deaf struct{ *httptest.ResponseRecorder }

var errGone = errors.New("the client has gone")

func (deaf) Write([]byte) (int, error) { return 0, errGone }

func TestWhoWritesHearsThatTheClientHasGone(t *testing.T) {
	l := newLines(deaf{httptest.NewRecorder()}, "working")
	defer l.end()
	for range 2 {
		if err := l.write("found"); !errors.Is(err, errGone) {
			t.Errorf("got the error %v, want %v", err, errGone)
		}
	}
}

func TestAnErrorIsTheWholeAnswerOrItsLastLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		lines  []string
		status int
		want   string
	}{
		{"before the first line", nil, 409, `{"title":"Conflict","status":409,"detail":"busy"}` + "\n"},
		{"after it", []string{"found"}, 200, "\"found\"\n\"busy\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			l := newLines(w, "working")
			for _, line := range tt.lines {
				if err := l.write(line); err != nil {
					t.Fatal(err)
				}
			}
			l.fail(problem(http.StatusConflict, "busy"), "busy")
			l.end()
			if w.Code != tt.status || w.Body.String() != tt.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.status, tt.want)
			}
		})
	}
}

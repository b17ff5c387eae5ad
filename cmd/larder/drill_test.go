package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// drills is a server whose drills answer with these lines.
func drills(t *testing.T, lines ...string) shell {
	t.Helper()
	handler, _ := newAPI(t)
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("POST /api/v1/drill", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		_, _ = io.WriteString(w, strings.Join(lines, "\n")+"\n")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s := newShell(t)
	s.login(server.URL)
	return s
}

func TestADrillThatHasNotLookedAtAllImagesFailsAndSaysWhatToDo(t *testing.T) {
	const here, gone = `{"image":"docker-hub/library/nginx:1"}`, `{"image":"docker-hub/library/redis:7","missing":[{"kind":"tag","name":"7"}]}`
	const last = `{"done":true,"left":true,"error":"there are more images than the 2 that were looked at: name them"}`
	s := drills(t, here, here, last)
	s.fails(exitFailed, "drill --pins", "2 images could be pulled without an upstream, and not all are known to be: there are more images than the 2 that were looked at: name them")
	s = drills(t, here, gone, last)
	s.fails(exitFailed, "drill --pins", "1 of 2 images could not be pulled without an upstream: larder warm fetches what is missing; there are more images than the 2 that were looked at: name them")
	s = drills(t, here, `{"done":true}`)
	if got := s.ok("drill --pins"); got != "1 image could be pulled without an upstream\n" {
		t.Errorf("a drill of all says %q", got)
	}
}

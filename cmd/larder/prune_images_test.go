package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pruner answers the login as a Larder does, and the request to prune as told.
func pruner(t *testing.T, mediaType, answer string) (shell, *string) {
	t.Helper()
	handler, _ := newAPI(t)
	asked := new(string)
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("POST /api/v1/prune", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = string(body)
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, answer)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s := newShell(t)
	s.login(server.URL)
	return s, asked
}

const prunable = `{"working":true}
{"item":{"kind":"link","repository":"demo/app","digest":"sha256:aa","size":0}}
{"item":{"kind":"blob","digest":"sha256:aa","size":1572864}}
{"item":{"kind":"orphan","key":"K","size":5}}
`

const prunableText = `KIND    SIZE        NAME
link    -           demo/app@sha256:aa
blob    1.5 MiB     sha256:aa
orphan  5 B         K
`

func TestWhatCouldBePrunedIsListedWithItsSize(t *testing.T) {
	s, asked := pruner(t, "application/jsonl", prunable+`{"summary":{"removed":false,"links":1,"blobs":1,"orphans":2,"bytes":1572869}}`+"\n")
	want := prunableText + "Dry run: nothing was removed. Add --confirm to remove 1 link, 1 blob and 2 orphans, which frees 1.5 MiB.\n"
	if diff := cmp.Diff(want, s.ok("adm prune images")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"keepYoungerThanSeconds":86400}`, *asked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestWhatWasPrunedIsListed(t *testing.T) {
	s, asked := pruner(t, "application/jsonl", prunable+`{"summary":{"removed":true,"links":1,"blobs":1,"orphans":1,"bytes":1572869}}`+"\n")
	want := prunableText + "Removed 1 link, 1 blob and 1 orphan: 1.5 MiB are free.\n"
	if diff := cmp.Diff(want, s.ok("adm prune images --confirm --keep-younger-than=48h")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"confirm":true,"keepYoungerThanSeconds":172800}`, *asked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestAPruneThatDoesNotEndWellSaysSo(t *testing.T) {
	for _, tt := range []struct {
		name, mediaType, answer, want string
	}{
		{"an error of the registry", "application/jsonl", prunable + `{"error":"the disk is broken"}` + "\n", "larder: the disk is broken\n"},
		{"an answer that breaks off", "application/jsonl", prunable, "the answer broke off"},
		{"an answer of something else", "text/html", "<p>", "but not as a Larder server does"},
		{"a line that is none", "application/jsonl", "<p>\n", "reading a line of the answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := pruner(t, tt.mediaType, tt.answer)
			s.fails(exitFailed, "adm prune images", tt.want)
		})
	}
}

func TestThereMayBeNothingToPrune(t *testing.T) {
	s, _ := pruner(t, "application/jsonl", `{"summary":{"removed":true,"links":0,"blobs":0,"orphans":0,"bytes":0}}`+"\n")
	if diff := cmp.Diff("There is nothing to remove.\n", s.ok("adm prune images --confirm")); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestAPruneIsTypedRight(t *testing.T) {
	s := newShell(t)
	s.fails(exitUsage, "adm", "larder adm prune")
	s.fails(exitUsage, "adm clean", `larder adm does not know "clean"`)
	s.fails(exitUsage, "adm prune", "larder adm prune images")
	s.fails(exitUsage, "adm prune builds", `larder adm prune does not know "builds"`)
	s.fails(exitUsage, "adm prune images --keep-younger-than=-1h", "cannot be negative")
	s.fails(exitUsage, "adm prune images --keep-younger-than=soon", "--keep-younger-than")
}

func TestBytesAreForPeople(t *testing.T) {
	got := fmt.Sprint(bytesText(0), ", ", bytesText(1023), ", ", bytesText(1024), ", ", bytesText(3<<29), ", ", bytesText(1<<63-1))
	if diff := cmp.Diff("0 B, 1023 B, 1.0 KiB, 1.5 GiB, 8.0 EiB", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

package hubsim

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAPullIsRecordedRequestByRequest(t *testing.T) {
	s := newScene(t, Options{})
	s.hub.ResetRequests()
	s.b.ask(http.MethodGet, s.hub.URL()+"/v2/library/nginx/manifests/latest")
	s.token = s.b.bearer("", "repository:library/nginx:pull")
	s.manifest(http.MethodHead)
	s.manifest(http.MethodGet)
	s.blob("Range: bytes=10-19")
	s.b.ask(http.MethodGet, s.hub.URL()+"/v2/library/nginx/tags/list?n=5&ns=docker.io", s.token)
	layer := s.layer.String()
	want := []string{
		"GET /v2/library/nginx/manifests/latest 401",
		"GET auth/token repository:library/nginx:pull 200",
		"HEAD /v2/library/nginx/manifests/latest 200",
		"GET /v2/library/nginx/manifests/latest 200",
		"GET /v2/library/nginx/blobs/" + layer + " bytes=10-19 307",
		"GET cdn/" + layer + " bytes=10-19 206",
		"GET /v2/library/nginx/tags/list?n=5 200",
	}
	if diff := cmp.Diff(want, lines(s.hub)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	last := s.hub.Requests()[5]
	if diff := cmp.Diff(Request{
		Service: CDN, Method: "GET", Path: "cdn/" + layer, Range: "bytes=10-19",
		UserAgent: "Go-http-client/1.1", Status: 206, Bytes: 10,
	}, last); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestARequestWithoutAnAnswerIsRecordedToo(t *testing.T) {
	s := newScene(t, Options{})
	s.b.client.CloseIdleConnections()
	s.hub.ResetRequests()
	s.hub.Break(Fault{Kind: Down, Path: ManifestPath})
	s.manifest(http.MethodGet)
	if diff := cmp.Diff([]string{"GET /v2/library/nginx/manifests/latest unanswered"}, lines(s.hub)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestCountersTellWhoAskedForWhat(t *testing.T) {
	s := newScene(t, Options{Accounts: []Account{{Username: "acme", Password: "secret"}}})
	s.hub.ResetRequests()
	s.manifest(http.MethodHead)
	s.manifest(http.MethodGet)
	s.blob()
	s.token = s.b.bearer("acme:secret", "repository:library/nginx:pull")
	s.manifest(http.MethodGet)
	want := Counters{
		Tally: Tally{ManifestGETs: 2, ManifestHEADs: 1, BlobGETs: 1, CDNGETs: 1, TokenGETs: 1, PullsCounted: 2},
		Accounts: map[string]Tally{
			"":     {ManifestGETs: 1, ManifestHEADs: 1, BlobGETs: 1, CDNGETs: 1, PullsCounted: 1},
			"acme": {ManifestGETs: 1, TokenGETs: 1, PullsCounted: 1},
		},
	}
	got := s.hub.Counters()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Tally{}, "Bytes")); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	var bytes int64
	for _, request := range s.hub.Requests() {
		bytes += request.Bytes
	}
	if got.Bytes != bytes || bytes < layerSize+2*int64(len(s.pushed.Raw)) {
		t.Errorf("bytes: %d counted, %d in the requests", got.Bytes, bytes)
	}
	s.hub.ResetRequests()
	if diff := cmp.Diff(Counters{}, s.hub.Counters(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after a reset (-want +got):\n%s", diff)
	}
	if s.hub.Remaining("") != DefaultAnonymousLimit-1 {
		t.Errorf("remaining after a reset: %d", s.hub.Remaining(""))
	}
}

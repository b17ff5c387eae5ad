package distribution_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// following is a blob that another replica follows, and what its verification says.
type following struct {
	*bytes.Reader
	verified error
}

func (f following) Verified(context.Context) error { return f.verified }

func (f following) Close() error { return nil }

func TestAReplicaFollowsATransfer(t *testing.T) {
	const content = "0123456789"
	known := digest.FromString(content)
	errWrong := errors.New("the wrong digest")
	tests := []struct {
		name     string
		path     string
		method   string
		rangeOf  string
		verify   error
		verified error
		status   int
		body     string
		cut      bool
	}{
		{name: "from its beginning", status: http.StatusOK, body: content},
		{name: "from where it is", rangeOf: "bytes=4-", status: http.StatusPartialContent, body: content[4:]},
		{name: "but gets no end that is not verified", verified: errWrong, status: http.StatusOK, body: content[:9], cut: true},
		{name: "only with a signature", verify: authn.ErrTokenInvalid, status: http.StatusNotFound, body: "404 page not found\n"},
		{name: "only with a signature of today", verify: authn.ErrTokenExpired, status: http.StatusNotFound, body: "404 page not found\n"},
		{name: "only where there is one", path: digest.FromString("another").String(), status: http.StatusNotFound, body: "404 page not found\n"},
		{name: "only by a digest", path: "../../v2/", status: http.StatusNotFound, body: "404 page not found\n"},
		{name: "only by GET", method: http.MethodPost, status: http.StatusNotFound, body: "404 page not found\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked authn.ReplicaRequest
			server := httptest.NewServer(distribution.NewFills(distribution.FillsConfig{
				Follow: func(_ context.Context, d digest.Digest) (oci.Blob, error) {
					if d != known {
						return nil, errors.New("not here")
					}
					return following{bytes.NewReader([]byte(content)), tt.verified}, nil
				},
				Verify: func(_ context.Context, r authn.ReplicaRequest, _ string) error {
					asked = r
					return tt.verify
				},
				Log: slog.New(slog.DiscardHandler),
			}))
			defer server.Close()
			if tt.path == "" {
				tt.path = known.String()
			}
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			r, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL+distribution.FillsPath+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.rangeOf != "" {
				r.Header.Set("Range", tt.rangeOf)
			}
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != tt.status || string(body) != tt.body || (err != nil) != tt.cut {
				t.Errorf("got %d %q, %v", response.StatusCode, body, err)
			}
			want := authn.ReplicaRequest{Method: tt.method, Path: distribution.FillsPath + tt.path, Range: tt.rangeOf}
			if diff := cmp.Diff(want, asked); diff != "" {
				t.Errorf("what was verified (-want +got):\n%s", diff)
			}
		})
	}
}

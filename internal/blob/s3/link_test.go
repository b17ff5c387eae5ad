package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestALinkReadsOneBlobWithoutKeys(t *testing.T) {
	for _, in := range []service{versitygw, minIO} {
		t.Run(in.Name, func(t *testing.T) {
			t.Parallel()
			store := open(t, in.config(t.TempDir()))
			p := content(1000)
			key, other := put(t, store, p), put(t, store, []byte("other"))
			link, err := store.Link(t.Context(), key, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			tests := []struct {
				name, link, asked string
				status            int
				want              []byte
			}{
				{"the whole", link, "", http.StatusOK, p},
				{"a range", link, "bytes=10-19", http.StatusPartialContent, p[10:20]},
				{"another blob", strings.Replace(link, key, other, 1), "", http.StatusForbidden, nil},
			}
			for _, tt := range tests {
				status, got := fetch(t, tt.link, tt.asked)
				if status != tt.status || tt.want != nil && !bytes.Equal(got, tt.want) {
					t.Errorf("%s: got %d and %d bytes, want %d", tt.name, status, len(got), tt.status)
				}
			}
			if _, err := store.Link(t.Context(), "../"+key, time.Minute); err == nil {
				t.Error("a link is signed for a key that is none")
			}
		})
	}
}

// fetch gets an address as any client would.
func fetch(t *testing.T, link, asked string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if asked != "" {
		r.Header.Set("Range", asked)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

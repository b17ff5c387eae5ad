package distribution

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/oci"
)

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-4", "bytes=-5", "bytes=-0", "BYTES=4-", "bytes=9-1, 3-", "items=0-1", "bytes=1-1,2-2,-1", "bytes= - 00"} {
		f.Add(seed, uint8(11))
	}
	f.Fuzz(func(t *testing.T, asked string, size uint8) {
		content := bytes.Repeat([]byte("0123456789"), 26)[:size]
		sent := httptest.NewRecorder()
		x := &exchange{w: &pacedWriter{ResponseWriter: sent}, r: httptest.NewRequest(http.MethodGet, "/", nil)}
		x.r.Header.Set("Range", asked)
		if err := checkRange(x, int64(size)); err != nil {
			if oci.CodeOf(err) != oci.CodeRangeInvalid || size == 0 {
				t.Fatalf("%q of %d bytes: %v", asked, size, err)
			}
			return
		}
		serveContent(sent, x.r, bytes.NewReader(content))
		var first, last, whole int
		switch _, err := fmt.Sscanf(sent.Header().Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &whole); {
		case sent.Code == http.StatusOK && sent.Body.String() == string(content):
		case sent.Code == http.StatusPartialContent && err == nil && sent.Body.String() == string(content[first:last+1]):
		case sent.Code == http.StatusPartialContent && strings.HasPrefix(sent.Header().Get("Content-Type"), "multipart/byteranges"):
		default:
			t.Fatalf("%q of %d bytes is answered with %d, %v and %d bytes", asked, size, sent.Code, sent.Header(), sent.Body.Len())
		}
	})
}

func FuzzTokenRequest(f *testing.F) {
	f.Add(false, "scope=repository:demo/app:pull&service=larder", "Basic YWRtaW46c2VjcmV0", "")
	f.Add(false, "scope=%zz;&scope=::", "Basic !", "")
	f.Add(true, "", "", "grant_type=password&username=u&password=p&access_type=offline&scope=repository:a/b:*")
	f.Add(true, "grant_type=password", "Bearer x", "grant_type=refresh_token&refresh_token=%00")
	f.Fuzz(func(t *testing.T, post bool, query, authorization, body string) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/token", RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if post {
			r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		request, err := readTokenRequest(&exchange{w: &pacedWriter{ResponseWriter: httptest.NewRecorder()}, r: r})
		if err != nil {
			if oci.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if post && len(body) > maxForm {
			t.Fatalf("a form of %d bytes was read", len(body))
		}
		if !post && authorization == "" && request.login {
			t.Fatal("a request without credentials is a login")
		}
		if _, err := authn.ParseScopes(request.scopes); err != nil && err.Error() == "" {
			t.Fatal("an error without a text")
		}
	})
}

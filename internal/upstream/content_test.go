package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/oci"
)

func TestAManifestComesAsItIs(t *testing.T) {
	w := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); !strings.Contains(accept, v1.MediaTypeImageIndex) || !strings.Contains(accept, oci.MediaTypeDockerManifestList) {
			t.Errorf("Accept is %q", accept)
		}
		if r.UserAgent() != "larder/test" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("headers are %v", r.Header)
		}
		manifestFor(w, r, "")
	})
	c := dial(t, w.URL, func(c *Config) { c.UserAgent = "larder/test" })
	want := oci.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(manifestText), Content: []byte(manifestText)}
	sha512 := digest.SHA512.FromString(manifestText)
	for ref, d := range map[string]digest.Digest{"latest": want.Digest, want.Digest.String(): want.Digest, sha512.String(): sha512} {
		got, err := c.Manifest(t.Context(), Any.For(nobody), "nginx", ref)
		good(t, err)
		want.Digest = d
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	head, err := c.stat(t, Any)
	good(t, err)
	if diff := cmp.Diff(oci.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString(manifestText), Size: int64(len(manifestText))}, head); diff != "" {
		t.Error(diff)
	}
	if got := testutil.ToFloat64(c.Registry.metrics.requests.WithLabelValues("docker-hub", "manifest_get", "200")); got != 3 {
		t.Errorf("%v manifest GETs were counted", got)
	}
}

func TestAManifestThatCannotBeTrustedIsInvalid(t *testing.T) {
	other := digest.FromString("other").String()
	tests := []struct {
		name, ref, header, body string
		stat                    bool // HEAD can tell as well
	}{
		{"other bytes than the digest asked for", other, "", manifestText, false},
		{"another digest announced than asked for", other, digest.FromString(manifestText).String(), manifestText, true},
		{"other bytes than announced", "latest", other, manifestText, false},
		{"a digest that is none", "latest", "sha256:abc", manifestText, true},
		{"too large", "latest", "", strings.Repeat("x", oci.MaxManifestSize+1), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.header != "" {
					w.Header().Set("Docker-Content-Digest", test.header)
				}
				_, _ = w.Write([]byte(test.body))
			})
			c := dial(t, w.URL)
			_, err := c.Manifest(t.Context(), Any.For(nobody), nginx, test.ref)
			failing(t, err, Invalid)
			if _, err := c.StatManifest(t.Context(), Any.For(nobody), nginx, test.ref); test.stat != (KindOf(err) == Invalid) {
				t.Errorf("HEAD returned %v", err)
			}
		})
	}
}

func TestAPageIsNoManifestAndNoBlob(t *testing.T) {
	w := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<html>please log in to this network</html>"))
	})
	c := dial(t, w.URL)
	_, err := c.stat(t, Any)
	failing(t, err, Invalid)
	_, err = c.Manifest(t.Context(), Any.For(nobody), nginx, "latest")
	failing(t, err, Invalid)
	_, err = c.StatBlob(t.Context(), Any.For(nobody), nginx, digest.FromString("layer"))
	failing(t, err, Invalid)
}

func TestAnUpstreamNeedNotNameTheDigest(t *testing.T) {
	w := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(manifestText)) })
	c := dial(t, w.URL)
	head, err := c.stat(t, Any)
	good(t, err)
	if head.Digest != "" {
		t.Errorf("the digest is %s", head.Digest)
	}
	d := digest.FromString(manifestText)
	head, err = c.StatManifest(t.Context(), Any.For(nobody), nginx, d.String())
	good(t, err)
	if head.Digest != d {
		t.Errorf("the digest is %s", head.Digest)
	}
}

func TestNamesThatCouldLeadElsewhereAreNotSent(t *testing.T) {
	w := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := dial(t, w.URL)
	for _, call := range []func() error{
		func() error { _, err := c.StatManifest(t.Context(), Any.For(nobody), "../x", "1"); return err },
		func() error { _, err := c.Manifest(t.Context(), Any.For(nobody), nginx, "../../x"); return err },
		func() error { _, err := c.StatBlob(t.Context(), Any.For(nobody), nginx, "x"); return err },
		func() error { _, err := c.Tags(t.Context(), Any.For(nobody), "A", oci.TagPage{}); return err },
		func() error { _, err := c.Referrers(t.Context(), Any.For(nobody), nginx, "x", ""); return err },
	} {
		if err := call(); err == nil || KindOf(err) != 0 {
			t.Errorf("error is %v", err)
		}
	}
	w.expect(t)
}

const blobText = "0123456789"

var blobDigest = digest.FromString(blobText)

func TestABlobIsReadFromAnOffset(t *testing.T) {
	tests := []struct {
		name   string
		offset int64
		answer func(http.ResponseWriter)
		want   string
		from   int64
		size   int64
		kind   Kind
	}{
		{"from its start", 0, func(w http.ResponseWriter) { _, _ = io.WriteString(w, blobText) }, blobText, 0, 10, 0},
		{"from an offset", 4, ranged("bytes 4-9/10", blobText[4:]), blobText[4:], 4, 10, 0},
		{"from an offset, of unknown size", 4, ranged("bytes 4-9/*", blobText[4:]), blobText[4:], 4, -1, 0},
		{"an upstream that knows no ranges", 4, func(w http.ResponseWriter) { _, _ = io.WriteString(w, blobText) }, blobText, 0, 10, 0},
		{"a range from elsewhere", 4, ranged("bytes 3-9/10", blobText[3:]), "", 0, 0, Invalid},
		{"a range without its place", 4, ranged("", blobText[4:]), "", 0, 0, Invalid},
		{"a range that was not asked for", 0, ranged("bytes 4-9/10", blobText[4:]), "", 0, 0, Invalid},
		{"an offset past the end", 11, func(w http.ResponseWriter) { w.WriteHeader(416) }, "", 0, 0, Invalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := serve(t, func(w http.ResponseWriter, r *http.Request) {
				want := ""
				if test.offset > 0 {
					want = fmt.Sprintf("bytes=%d-", test.offset)
				}
				if got := r.Header.Get("Range"); got != want {
					t.Errorf("Range is %q", got)
				}
				test.answer(w)
			})
			body, err := dial(t, w.URL).Blob(t.Context(), Any.For(nobody), nginx, blobDigest, test.offset)
			if test.kind != 0 {
				failing(t, err, test.kind)
				return
			}
			good(t, err)
			text, err := io.ReadAll(body)
			good(t, err)
			good(t, body.Close())
			if string(text) != test.want || body.Offset != test.from || body.Size != test.size {
				t.Errorf("got %q from %d of %d", text, body.Offset, body.Size)
			}
		})
	}
}

func ranged(contentRange, text string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, text)
	}
}

func TestABlobThatBreaksOffIsAnError(t *testing.T) {
	tests := []struct {
		name  string
		then  http.HandlerFunc
		stall time.Duration // 0 is what is usual
		want  Kind
	}{
		{"cut", cut, 0, Unavailable},
		{"shorter than announced", func(http.ResponseWriter, *http.Request) {}, 0, Unavailable},
		{"stalled", hang, 50 * time.Millisecond, Timeout},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(blobText)))
				_, _ = io.WriteString(w, blobText[:4])
				_ = http.NewResponseController(w).Flush()
				test.then(w, r)
			})
			c := dial(t, w.URL, func(c *Config) { c.Timeouts.Stall = test.stall })
			body, err := c.Blob(t.Context(), Any.For(nobody), nginx, blobDigest, 0)
			good(t, err)
			text, err := io.ReadAll(body)
			if string(text) != blobText[:4] {
				t.Errorf("read %q", text)
			}
			failing(t, err, test.want)
			if errors.Is(err, io.EOF) {
				t.Errorf("%v passes for an end", err)
			}
			_ = body.Close()
		})
	}
}

func TestEachBlobIsAskedOfTheRegistryAfresh(t *testing.T) {
	store := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(blobText))
	})
	links := 0
	h := newHub(t)
	h.content = func(w http.ResponseWriter, r *http.Request, _ string) {
		links++
		http.Redirect(w, r, fmt.Sprintf("%s/%d", store.URL, links), http.StatusTemporaryRedirect)
	}
	c := dial(t, h.URL)
	path := "/v2/library/nginx/blobs/" + blobDigest.String()
	size, err := c.StatBlob(t.Context(), Any.For(nobody), nginx, blobDigest)
	good(t, err)
	if size.Size != 10 || size.Digest != blobDigest {
		t.Errorf("the blob is %+v", size)
	}
	h.asked()
	body, err := c.Blob(t.Context(), Any.For(nobody), nginx, blobDigest, 4)
	good(t, err)
	defer func() { _ = body.Close() }()
	if text, err := io.ReadAll(body); string(text) != blobText[4:] || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	h.expect(t, "GET "+path+" with anonymous-1")
	store.expect(t, "HEAD /1", "GET /2")
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	u := func(s string) *url.URL {
		parsed, err := url.Parse(s)
		good(t, err)
		return parsed
	}
	tests := []struct {
		name   string
		config Config
	}{
		{"no name", Config{URL: u("https://r.example.com")}},
		{"no URL", Config{Name: "x"}},
		{"a URL of another scheme", Config{Name: "x", URL: u("ftp://r.example.com")}},
		{"a URL without a host", Config{Name: "x", URL: u("https:///v2")}},
		{"a password in the URL", Config{Name: "x", URL: u("https://alice:hidden@r.example.com")}},
		{"a credential without a password", Config{Name: "x", URL: u("https://r.example.com"), Credentials: []Credential{{Username: "alice"}}}},
		{"a CA file that is not there", Config{Name: "x", URL: u("https://r.example.com"), CAFile: t.TempDir() + "/none.pem"}},
		{"a CA file that holds none", Config{Name: "x", URL: u("https://r.example.com"), CAFile: "registry.go"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.config, NewMetrics(nil), nil)
			if err == nil || strings.Contains(err.Error(), "hidden") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes 4-9/*")
	f.Add("bytes */10")
	f.Fuzz(func(t *testing.T, value string) {
		start, size, ok := parseContentRange(value)
		if ok && (start < 0 || size != -1 && size <= start) {
			t.Fatalf("%q is read as %d of %d", value, start, size)
		}
	})
}

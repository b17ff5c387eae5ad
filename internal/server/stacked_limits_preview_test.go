package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestTheCheckOfDockerHubsLimitsWorksHere(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	for _, tt := range []struct {
		admin         bool
		limit, source string
	}{{false, "100;w=21600", "127.0.0.1"}, {true, "200;w=21600", "admin"}} {
		token := map[string]string{"Authorization": s.token(tt.admin, "ratelimitpreview/test")}
		for range 3 {
			s.send(request{method: http.MethodHead, path: preview, header: token}).wantsLimit(t, 200, tt.limit, tt.limit, tt.source)
		}
		one, _ := strconv.Atoi(strings.TrimSuffix(tt.limit, ";w=21600"))
		s.send(request{path: preview, header: token}).wantsLimit(t, 200, tt.limit, fmt.Sprintf("%d;w=21600", one-1), tt.source)
	}
	// Without a token it is the same.
	s.head(preview).wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	s.send(request{method: http.MethodHead, path: preview, mirror: true}).wantsLimit(t, 200, "100;w=21600", "99;w=21600", "127.0.0.1")
	s.hubSaw(nil)
}

// raw sends a request on a connection of its own and reads lines until the other end
// closes it.
func (s *stack) raw(method, path, header string) map[string]bool {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.larder.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: registry.example.com\r\n%s\r\n\r\n", method, path, header)
	lines := map[string]bool{}
	answer := bufio.NewScanner(conn)
	for answer.Scan() {
		lines[answer.Text()] = true
	}
	if err := answer.Err(); err != nil {
		s.t.Fatal(err)
	}
	return lines
}

func TestTheHeadersOfLimitsAreSpelledAsDockerHubSpellsThem(t *testing.T) {
	s := newStack(t, hubsim.Options{}, dockersOwn)
	lines := s.raw("HEAD", preview, "Connection: close")
	for _, want := range []string{"RateLimit-Limit: 100;w=21600", "RateLimit-Remaining: 100;w=21600", "Docker-RateLimit-Source: 127.0.0.1"} {
		if !lines[want] {
			t.Errorf("%q is not among %v", want, lines)
		}
	}
}

func TestThePreviewIsARealImageForEverybody(t *testing.T) {
	for _, limits := range []string{"", dockersOwn} {
		s := newStack(t, hubsim.Options{}, limits)
		got := s.get(preview)
		var image struct {
			Config struct{ Digest string }
			Layers []struct{ Digest string }
		}
		if err := json.Unmarshal(got.body, &image); err != nil || got.status != 200 || len(image.Layers) != 1 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		for _, d := range []string{image.Config.Digest, image.Layers[0].Digest} {
			blob := s.get("/v2/ratelimitpreview/test/blobs/" + d)
			if blob.status != 200 || blob.header.Get("Docker-Content-Digest") != d {
				t.Errorf("blob %s: %d", d, blob.status)
			}
		}
		byDigest := s.head("/v2/ratelimitpreview/test/manifests/" + got.header.Get("Docker-Content-Digest"))
		if byDigest.status != 200 {
			t.Errorf("by digest it answers %d", byDigest.status)
		}
		if tags := s.get("/v2/ratelimitpreview/test/tags/list"); string(tags.body) != `{"name":"ratelimitpreview/test","tags":["latest"]}` {
			t.Errorf("tags: %s", tags.body)
		}
		for path, status := range map[string]int{
			"/v2/ratelimitpreview/test/manifests/other": 404, "/v2/ratelimitpreview/other/manifests/latest": 401,
			"/v2/ratelimitpreview/test/blobs/" + got.header.Get("Docker-Content-Digest"): 404,
		} {
			if a := s.get(path); a.status != status {
				t.Errorf("%s answers %d, want %d", path, a.status, status)
			}
		}
		for method, status := range map[string]int{http.MethodPut: 400, http.MethodDelete: 405} {
			if a := s.send(request{method: method, path: preview, admin: true}); a.status != status {
				t.Errorf("%s answers %d: %s", method, a.status, a.body)
			}
		}
	}
}

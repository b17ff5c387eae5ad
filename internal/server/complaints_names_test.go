package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

// project-zot/zot#2584, #2836 and #4042: converting Docker manifests to OCI changes
// their digests, so that tag@digest fails or downloads for ever.
func TestManifestsOfEveryMediaTypeAreServedByteForByte(t *testing.T) {
	const signed = `"signatures":[{"header":{"alg":"ES256"},"signature":"c2ln","protected":"cHJvdGVjdGVk"}]`
	for _, test := range []struct{ name, mediaType, raw string }{
		{"Docker image", "application/vnd.docker.distribution.manifest.v2+json", `{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","schemaVersion":2,"config":{},"layers":[]}`},
		{"Docker manifest list", "application/vnd.docker.distribution.manifest.list.v2+json", "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.docker.distribution.manifest.list.v2+json\",\n   \"manifests\": []\n}\n"},
		{"OCI image", v1.MediaTypeImageManifest, `{"layers":[],"schemaVersion":2,"unknown":{"z":1e2,"a":"\u00e9"},"mediaType":"` + v1.MediaTypeImageManifest + `"}`},
		{"OCI index", v1.MediaTypeImageIndex, "\t{\"schemaVersion\":2,\"manifests\":[]}\r\n"},
		{"signed schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", "{\n   \"schemaVersion\": 1,\n   \"name\": \"library/nginx\",\n   \"tag\": \"old\",\n   " + signed + "\n}"},
		{"OCI artifact, withdrawn from the standard", "application/vnd.oci.artifact.manifest.v1+json", `{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, hubsim.Options{}, "")
			d := s.hub.AddManifest("library/nginx", "old", test.mediaType, []byte(test.raw))
			for range 2 {
				for _, reference := range []string{"old", d.String()} {
					head, got := s.head(nginx+"manifests/"+reference), s.get(nginx+"manifests/"+reference).is(t, d)
					for _, header := range []http.Header{head.header, got.header} {
						if header.Get("Content-Type") != test.mediaType || header.Get("Docker-Content-Digest") != d.String() {
							t.Errorf("%s is announced as %s, a %s", reference, header.Get("Docker-Content-Digest"), header.Get("Content-Type"))
						}
					}
					if string(got.body) != test.raw {
						t.Errorf("%s is\n%s\nand not\n%s", reference, got.body, test.raw)
					}
				}
				s.restart()
			}
			if left := s.hub.Remaining(""); left != hubsim.DefaultAnonymousLimit-1 {
				t.Errorf("%d pulls are left, want all but one", left)
			}
		})
	}
}

// goharbor/harbor#13579, #21342 and #8082: users want a plain mirror, and write proxy
// rules of their own for the ns parameter.
func TestTheNSParameterMeansTheUpstreamByEachOfItsNames(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	for i, ns := range []string{"docker.io", "index.docker.io", "registry-1.docker.io"} {
		for _, name := range []string{"library/nginx", "nginx"} {
			got := s.get("/v2/"+name+"/manifests/latest?ns="+ns).is(t, image.Digest)
			if got.header.Get("OCI-Namespace") != ns {
				t.Errorf("%s by %s: OCI-Namespace %q", name, ns, got.header.Get("OCI-Namespace"))
			}
			if i > 0 && got.cache() != "larder; hit" {
				t.Errorf("%s by %s is another image than by docker.io: %s", name, ns, got.cache())
			}
		}
	}
}

// containerd/containerd#4706: what a proxy does with ns must not be to connect to it.
func TestTheNSParameterIsNeverAnAddressToConnectTo(t *testing.T) {
	var dials atomic.Int64
	bait, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := bait.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			_ = conn.Close()
		}
	}()
	s := newStack(t, hubsim.Options{}, "")
	s.hub.AddImage("library/nginx", "latest", small(1))
	for _, ns := range []string{
		bait.Addr().String(), "http://" + bait.Addr().String(), "169.254.169.254", "localhost", "docker.io.example.com",
		"docker.io@" + bait.Addr().String(), "docker.io:443", "docker.io/..", "..", "docker-hub", "*", "%00",
	} {
		for _, path := range []string{"manifests/latest", "tags/list", "blobs/" + digest.FromString("x").String()} {
			got := s.get("/v2/library/nginx/" + path + "?ns=" + ns)
			if got.status != 404 || !strings.Contains(string(got.body), "NAME_UNKNOWN") || got.header.Get("OCI-Namespace") != "" {
				t.Errorf("ns=%s, %s: %d %s", ns, path, got.status, got.body)
			}
		}
	}
	s.hubSaw(nil)
	_ = bait.Close()
	<-ended
	if n := dials.Load(); n > 0 {
		t.Errorf("%d connections were made to an address from ns", n)
	}
}

// goharbor/harbor#18530: challenges behind a rewriting proxy name the wrong scope.
func TestAChallengeToARequestWithNSNamesTheResolvedRepository(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	const path, scope = "/v2/acme/app/manifests/1?ns=docker.io", "repository:docker-hub/acme/app:pull"

	stranger := s.get(path)
	challenge := stranger.header.Get("WWW-Authenticate")
	if stranger.status != 401 || !strings.Contains(challenge, `scope="`+scope+`"`) {
		t.Fatalf("a stranger got %d, challenge %q", stranger.status, challenge)
	}
	granted := s.send(request{path: "/token?service=larder&scope=" + scope, admin: true})
	var said struct{ Token string }
	if err := json.Unmarshal(granted.body, &said); err != nil || said.Token == "" {
		t.Fatalf("the token service answered %d: %v", granted.status, err)
	}
	s.send(request{path: path, header: map[string]string{"Authorization": "Bearer " + said.Token}}).is(t, image.Digest)
}

// aws/containers-roadmap#2260, #2211 and #2354: docker-hub/nginx is refused with an
// authentication error; it needs library/.
func TestAnOfficialImageNeedsNoLibraryAndAnErrorNamesWhatWasLookedUp(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.get("/v2/docker-hub/nginx/manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, image.Digest)

	for _, path := range []string{"/v2/docker-hub/ngnix/manifests/latest", "/v2/ngnix/manifests/latest?ns=docker.io"} {
		got := s.get(path)
		if got.status != 404 || got.header.Get("WWW-Authenticate") != "" || !strings.Contains(string(got.body), "library/ngnix") {
			t.Errorf("%s: %d, challenge %q: %s", path, got.status, got.header.Get("WWW-Authenticate"), got.body)
		}
	}
}

// aws/containers-roadmap#2304: the cache answered with a redirect to Docker's CDN, and
// nodes that could not reach it broke.
func TestANodeThatReachesNothingButLarderGetsTheWholeImage(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{60_000, 4096}, Platforms: bothPlatforms})
	sealed := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != s.larder.Addr().String() {
			return nil, fmt.Errorf("this node cannot reach %s", address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	t.Cleanup(sealed.CloseIdleConnections)
	s.client = &http.Client{
		Transport: sealed, Timeout: time.Minute,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error { return errors.New("redirected to " + r.URL.Host) },
	}
	for _, state := range []string{"cold", "warm"} {
		for platform := range image.Manifests {
			if err := s.pullAsDocker(nginx, "latest", image, platform); err != nil {
				t.Errorf("%s: %v", state, err)
			}
			layer := nginx + "blobs/" + image.Manifests[platform].Layers[0].Digest.String()
			for _, r := range []request{{method: http.MethodHead, path: layer}, {path: layer, header: map[string]string{"Range": "bytes=1-9"}}} {
				if got := s.send(r); got.status >= 300 || got.header.Get("Location") != "" {
					t.Errorf("%s: %s got %d, Location %q", state, r.method, got.status, got.header.Get("Location"))
				}
			}
		}
	}
}

// openshift/origin#19554: an image that was mirrored in full cannot be pulled once it
// is deleted on Docker Hub.
func TestAnImageThatIsHeldIsServedForEverWhateverBecomesOfItUpstream(t *testing.T) {
	for name, vanish := range map[string]func(*hubsim.Hub){
		"the tag is deleted":        func(hub *hubsim.Hub) { hub.DeleteTag("library/nginx", "latest") },
		"the repository is deleted": func(hub *hubsim.Hub) { hub.Delete("library/nginx") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, hubsim.Options{}, "")
			image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{60_000, 4096}, Platforms: bothPlatforms})
			s.pullAll(nginx, "latest", image)
			vanish(s.hub)
			for range 2 {
				s.clock.Pass(365 * 24 * time.Hour)
				for platform := range image.Manifests {
					if err := s.pullAsDocker(nginx, "latest", image, platform); err != nil {
						t.Error(err)
					}
				}
				if got := s.get(nginx + "manifests/latest"); !strings.Contains(got.header.Get("Warning"), "no longer has it") {
					t.Errorf("Warning %q", got.header.Get("Warning"))
				}
				s.restart()
			}
		})
	}
}

// knative/func#3885: HEAD by digest on a repository that does not exist gives 500.
func TestWhatDoesNotExistIsNotFound(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	missing := digest.FromString("nothing").String()
	for _, test := range []struct{ method, path string }{
		{http.MethodHead, "/v2/demo/app/manifests/" + missing},
		{http.MethodGet, "/v2/demo/app/manifests/" + missing},
		{http.MethodHead, "/v2/demo/app/manifests/latest"},
		{http.MethodHead, "/v2/demo/app/blobs/" + missing},
		{http.MethodGet, "/v2/demo/app/tags/list"},
		{http.MethodHead, nginx + "manifests/" + missing},
		{http.MethodHead, nginx + "blobs/" + missing},
		{http.MethodGet, nginx + "tags/list"},
	} {
		got := s.send(request{method: test.method, path: test.path, admin: true})
		if got.status != 404 || test.method == http.MethodGet && !strings.Contains(string(got.body), "_UNKNOWN") {
			t.Errorf("%s %s: %d %s", test.method, test.path, got.status, got.body)
		}
	}
}

// knative/func#3885: pushes fail until the user has created the image stream.
func TestAPushNeedsNothingToBeCreatedFirst(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	const base = "/v2/brand/new/app/"
	if got := s.send(request{method: http.MethodHead, path: base + "manifests/" + digest.FromString("x").String(), admin: true}); got.status != 404 {
		t.Errorf("before the push: %d", got.status)
	}
	manifest := s.pushImage("brand/new/app", "latest")
	s.send(request{path: base + "manifests/latest", admin: true}).wants(t, 200, "").is(t, manifest)
	s.hubSaw(nil)
}

// pushImage pushes a small image as the user admin.
func (s *stack) pushImage(repository, tag string) digest.Digest {
	s.t.Helper()
	config, layer := []byte(`{"architecture":"amd64","os":"linux"}`), []byte("a layer")
	for _, blob := range [][]byte{config, layer} {
		s.push(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest.FromBytes(blob).String(), "application/octet-stream", blob)
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, digest.FromBytes(config), len(config), v1.MediaTypeImageLayer, digest.FromBytes(layer), len(layer))
	s.push(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, v1.MediaTypeImageManifest, manifest)
	return digest.FromBytes(manifest)
}

// push sends content as the user admin and fails unless it was taken.
func (s *stack) push(method, path, contentType string, content []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.larder.Addr().String()+path, bytes.NewReader(content))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", contentType)
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, said, err)
	}
}

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

func TestTheMirrorListenerGreetsWithoutAChallenge(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	for _, authorization := range []string{"", "Basic YWRtaW46d3Jvbmc=", "Bearer nonsense"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := s.send(request{method: method, path: "/v2/", mirror: true, header: map[string]string{"Authorization": authorization}})
			if got.status != 200 || got.header.Get("WWW-Authenticate") != "" || got.header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
				t.Errorf("%s with %q: %d %v", method, authorization, got.status, got.header)
			}
		}
	}
	if got := s.get("/v2/"); got.status != 401 {
		t.Errorf("the main listener answers %d, without which docker never logs in", got.status)
	}
	s.hubSaw(nil)
}

func TestTheMirrorListenerTakesNamesAsDockerHubHasThem(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	app := s.hub.AddImage("acme/app", "1", small(2))
	mirrored := func(path string) answer { return s.send(request{path: path, mirror: true}) }

	mirrored("/v2/library/nginx/manifests/latest").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	mirrored("/v2/nginx/manifests/latest").wants(t, 200, "larder; hit").is(t, image.Digest)
	mirrored("/v2/nginx/manifests/latest?ns=docker.io").wants(t, 200, "larder; hit").is(t, image.Digest)
	mirrored("/v2/acme/app/manifests/1").wants(t, 200, "larder; fwd=miss; stored").is(t, app.Digest)
	layer := image.Manifests[0].Layers[0].Digest
	mirrored("/v2/nginx/blobs/"+layer.String()).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
	s.get(nginx+"manifests/latest").wants(t, 200, "larder; hit").is(t, image.Digest)
	if got := mirrored("/v2/nginx/tags/list"); got.status != 200 || !strings.Contains(string(got.body), `"latest"`) {
		t.Errorf("tags: %d %s", got.status, got.body)
	}
	if got := mirrored("/v2/docker-hub/nginx/manifests/latest"); got.status != 404 {
		t.Errorf("a name with a project of Larder's: %d", got.status)
	}
	if got := mirrored("/v2/nginx/manifests/latest?ns=quay.io"); got.status != 404 {
		t.Errorf("a registry that is not mirrored: %d", got.status)
	}
}

func TestTheMirrorListenerShowsNobodyWhatIsPrivate(t *testing.T) {
	s := newStack(t, hubsim.Options{Accounts: accounts, TokensOnRegistry: true}, withCredential(t, "acme", "acme-secret"))
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	for _, path := range []string{"manifests/1", "blobs/" + image.Manifests[0].Layers[0].Digest.String()} {
		s.send(request{path: "/v2/docker-hub/acme/app/" + path, admin: true}).wants(t, 200, "larder; fwd=miss; stored")
	}
	for _, path := range []string{
		"manifests/1", "manifests/" + image.Digest.String(), "blobs/" + image.Manifests[0].Layers[0].Digest.String(),
		"tags/list", "manifests/missing", "blobs/" + digest.FromString("missing").String(),
	} {
		for _, admin := range []bool{false, true} {
			got := s.send(request{path: "/v2/acme/app/" + path, mirror: true, admin: admin})
			if got.status != 404 || got.header.Get("WWW-Authenticate") != "" || !strings.Contains(string(got.body), "_UNKNOWN") {
				t.Errorf("%s, with the admin's password %v: %d %s", path, admin, got.status, got.body)
			}
		}
	}
}

func TestTheMirrorListenerShowsNothingOfHostedProjects(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.push(http.MethodPost, "/api/v1/projects", "application/json", []byte(`{"name":"demo"}`))
	manifest := s.pushImage("demo/app", "1")
	for _, path := range []string{"manifests/1", "manifests/" + manifest.String(), "tags/list"} {
		if got := s.send(request{path: "/v2/demo/app/" + path, admin: true}); got.status != 200 {
			t.Errorf("%s on the main listener: %d %s", path, got.status, got.body)
		}
		if got := s.send(request{path: "/v2/demo/app/" + path, mirror: true, admin: true}); got.status != 404 {
			t.Errorf("%s on the mirror listener: %d %s", path, got.status, got.body)
		}
	}
}

func TestTheMirrorListenerServesNothingButPulls(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	s.pullAll(nginx, "latest", image)
	s.hub.ResetRequests()
	for _, test := range []struct{ method, path string }{
		{http.MethodPut, "/v2/library/nginx/manifests/latest"},
		{http.MethodDelete, "/v2/library/nginx/manifests/" + image.Digest.String()},
		{http.MethodDelete, "/v2/library/nginx/blobs/" + image.Manifests[0].Config.Digest.String()},
		{http.MethodPost, "/v2/library/nginx/blobs/uploads/"},
		{http.MethodPatch, "/v2/library/nginx/blobs/uploads/0190b5a4-8a6e-7cc0-a7ac-6b8a4b5d8a01"},
	} {
		got := s.send(request{method: test.method, path: test.path, mirror: true, admin: true})
		if got.status != 405 || !strings.Contains(string(got.body), `"UNSUPPORTED"`) || got.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s %s: %d %s", test.method, test.path, got.status, got.body)
		}
	}
	for _, path := range []string{"/token", "/v2/_catalog", "/api/v1/projects", "/metrics", "/"} {
		if got := s.send(request{path: path, mirror: true, admin: true}); got.status < 400 || got.status >= 500 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	s.hubSaw(nil)
	s.send(request{path: "/v2/nginx/manifests/latest", mirror: true}).wants(t, 200, "larder; hit").is(t, image.Digest)
}

// from is a configuration that opens the mirror to one network, and believes the test's
// client where it says that it forwards for another.
const from = "trustedProxies: [127.0.0.1]\nmirror:\n  from: [192.0.2.0/24]\n"

func TestTheMirrorListenerServesOnlyTheNetworksOfMirrorFrom(t *testing.T) {
	s := newStack(t, hubsim.Options{}, from)
	s.hub.AddImage("library/nginx", "latest", small(1))
	for address, status := range map[string]int{"": 403, "198.51.100.7": 403, "192.0.3.1": 403, "192.0.2.7": 200, "192.0.2.255": 200} {
		for _, path := range []string{"/v2/", "/v2/nginx/manifests/latest", "/v2/nginx/tags/list"} {
			got := s.send(request{path: path, mirror: true, header: map[string]string{"X-Forwarded-For": address}})
			if got.status != status || got.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s for %q: %d %s, want %d", path, address, got.status, got.body, status)
			}
			if status == 403 && !strings.Contains(string(got.body), "mirror.from") {
				t.Errorf("%s for %q: %s", path, address, got.body)
			}
		}
	}
}

func TestOutsideTheNetworksOfMirrorFromCachesAreForThoseWhoAreLoggedIn(t *testing.T) {
	s := newStack(t, hubsim.Options{}, from)
	image := s.hub.AddImage("library/nginx", "latest", small(1))
	path := nginx + "manifests/latest"
	s.send(request{path: path, header: map[string]string{"X-Forwarded-For": "192.0.2.7"}}).is(t, image.Digest)
	s.send(request{path: path, admin: true}).is(t, image.Digest)
	for _, address := range []string{"", "198.51.100.7"} {
		got := s.send(request{path: path, header: map[string]string{"X-Forwarded-For": address}})
		if got.status != 401 || !strings.Contains(got.header.Get("WWW-Authenticate"), "repository:docker-hub/library/nginx:pull") {
			t.Errorf("a stranger at %q got %d, challenge %q", address, got.status, got.header.Get("WWW-Authenticate"))
		}
	}
}

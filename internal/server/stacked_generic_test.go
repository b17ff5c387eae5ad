package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

const (
	tool    = "/v2/quay/acme/tool/"
	hubTool = "/v2/acme/tool/"
)

// newGenericStack is a stack whose Larder mirrors Docker Hub and, as the project
// quay, a registry of another kind, which becomes s.hub: it speaks TLS by an authority
// of its own, gives out tokens itself, and redirects no blob. Settings are those of
// the upstream quay beside its ca, each on a line of its own.
func newGenericStack(t *testing.T, options hubsim.Options, settings ...string) (s *stack, docker *hubsim.Hub) {
	t.Helper()
	s = newStack(t, hubsim.Options{}, "")
	docker = s.hub
	options.Shape, options.TLS, options.DirectBlobs, options.Clock = hubsim.Generic, true, true, s.clock.Now
	quay, err := hubsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(quay.Close)
	settings = append(settings, "ca: "+writeFile(t, "ca.pem", string(quay.CAPEM())))
	s.hub, s.file = quay, "upstreams:\n- name: docker-hub\n- name: quay\n  "+strings.Join(settings, "\n  ")+"\n"
	s.args = append(s.args, "--upstream", "quay="+quay.URL())
	s.restart()
	t.Cleanup(func() { s.stop() }) // before the registry that it asks
	return s, docker
}

// credentials is the setting of these accounts, each a name and a password.
func credentials(t *testing.T, accounts ...[2]string) string {
	t.Helper()
	var list []string
	for _, a := range accounts {
		list = append(list, fmt.Sprintf("{username: %s, passwordFile: %s}", a[0], writeFile(t, "password", a[1]+"\n")))
	}
	return "credentials: [" + strings.Join(list, ", ") + "]"
}

func TestAnotherRegistryIsMirroredUnderItsOwnProject(t *testing.T) {
	s, docker := newGenericStack(t, hubsim.Options{TokensOnRegistry: true}, "registries: [quay.io]")
	image := s.hub.AddImage("acme/tool", "1", hubsim.Image{LayerSizes: []int64{60_000}, Format: hubsim.Docker})
	layer := image.Manifests[0].Layers[0].Digest.String()

	s.get(tool+"manifests/1").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	s.get(tool+"blobs/"+layer).wants(t, 200, "larder; fwd=miss; stored")
	s.get("/v2/acme/tool/manifests/1?ns=quay.io").wants(t, 200, "larder; hit").is(t, image.Digest)
	s.hubSaw(names(image),
		hello, "GET auth/token repository:acme/tool:pull 200",
		"GET "+hubTool+"manifests/1 200", "GET "+hubTool+"blobs/LAYER-A1 200")
	s.clock.Pass(61 * time.Second)
	s.get(tool+"manifests/1").wants(t, 200, "larder; fwd=stale; fwd-status=200; detail=revalidated").is(t, image.Digest)
	s.hubSaw(names(image), "HEAD "+hubTool+"manifests/1 200")
	if asked := docker.Requests(); len(asked) > 0 {
		t.Errorf("Docker Hub was asked: %v", asked)
	}
}

func TestOnlyDockerHubHasALibrary(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
	image := s.hub.AddImage("tool", "1", small(1))
	s.get("/v2/quay/tool/manifests/1").wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	got := s.get("/v2/quay/nothing/manifests/1")
	if got.status != 404 || strings.Contains(string(got.body), "library/") {
		t.Errorf("what is missing got %d %s", got.status, got.body)
	}
}

func TestAnAuthorityThatIsNotConfiguredIsNotTrusted(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
	s.hub.AddImage("acme/tool", "1", small(1))
	s.file = ""
	s.restart()
	got := s.get(tool + "manifests/1")
	if got.status != 503 || !strings.Contains(string(got.body), "certificate") || !strings.Contains(string(got.body), "acme/tool") {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	s.hubSaw(nil)
}

func TestTheCredentialThatIsEntitledIsFoundAmongSeveral(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true, Accounts: accounts},
		credentials(t, [2]string{"carol", "not-hers"}, [2]string{"bob", "bob-secret"}, [2]string{"acme", "acme-secret"}))
	image := s.hub.AddImage("acme/app", "1", small(1))
	s.hub.SetPrivate("acme/app", true)
	const app = "/v2/quay/acme/app/"

	if got := s.get(app + "manifests/1"); got.status != 401 {
		t.Errorf("a stranger got %d %s", got.status, got.body)
	}
	s.hub.ResetRequests()
	s.send(request{path: app + "manifests/1", admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, image.Digest)
	layer := image.Manifests[0].Layers[0].Digest
	s.send(request{path: app + "blobs/" + layer.String(), admin: true}).wants(t, 200, "larder; fwd=miss; stored").is(t, layer)
	refused := 0
	for _, r := range s.hub.Requests() {
		if r.Status == http.StatusOK && r.Service == hubsim.Registry && r.Account != "acme" {
			t.Errorf("%s was answered for %q", r, r.Account)
		}
		if r.Status == http.StatusUnauthorized && r.Service == hubsim.Auth {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("the refused credential was sent %d times", refused)
	}
	if log := s.log.String(); !strings.Contains(log, "carol") || strings.Contains(log, "not-hers") || strings.Contains(log, "acme-secret") {
		t.Error("the log does not name the refused credential, or shows a secret")
	}
	if got := s.get(app + "manifests/1"); got.status != 401 {
		t.Errorf("once it is cached a stranger got %d", got.status)
	}
}

func TestEachUpstreamHasATagTTLOfItsOwn(t *testing.T) {
	s, docker := newGenericStack(t, hubsim.Options{TokensOnRegistry: true}, "tagTTL: 10m")
	image := s.hub.AddImage("acme/tool", "1", small(1))
	docker.AddImage("library/nginx", "latest", small(1))
	pull := func() {
		t.Helper()
		s.get(tool+"manifests/1").is(t, image.Digest)
		s.get(nginx+"manifests/latest").is(t, image.Digest)
	}
	pull()
	for _, step := range []struct {
		after        time.Duration
		quay, docker int64
	}{{9 * time.Minute, 0, 1}, {61 * time.Second, 1, 1}} {
		s.hub.ResetRequests()
		docker.ResetRequests()
		s.clock.Pass(step.after)
		pull()
		if got := s.hub.Counters().ManifestHEADs; got != step.quay {
			t.Errorf("%s later quay saw %d HEADs, want %d", step.after, got, step.quay)
		}
		if got := docker.Counters(); got.ManifestHEADs < step.docker || got.ManifestGETs > 0 {
			t.Errorf("%s later Docker Hub saw %+v", step.after, got)
		}
	}
}

func TestWhatAllowAndDenyLeaveOutIsNeverAskedFor(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true}, "registries: [quay.io]", "allow: [acme/*]", "deny: [acme/secret, acme/*/old]")
	for _, repository := range []string{"acme/tool", "acme/secret", "acme/tool/old", "other/tool"} {
		s.hub.AddImage(repository, "1", small(1))
	}
	for _, test := range []struct {
		repository string
		status     int
	}{{"acme/tool", 200}, {"acme/secret", 403}, {"acme/tool/old", 403}, {"other/tool", 403}} {
		for _, prefix := range []string{"manifests/1", "tags/list"} {
			for _, path := range []string{"/v2/quay/" + test.repository + "/" + prefix, "/v2/" + test.repository + "/" + prefix + "?ns=quay.io"} {
				s.hub.ResetRequests()
				got := s.send(request{path: path, admin: true})
				if got.status != test.status {
					t.Errorf("%s: %d %s, want %d", path, got.status, got.body, test.status)
				}
				if test.status != 403 {
					continue
				}
				s.hubSaw(nil)
				if said := string(got.body); !strings.Contains(said, `"DENIED"`) || !strings.Contains(said, test.repository) || !strings.Contains(said, "allow and deny lists") {
					t.Errorf("%s: %s", path, said)
				}
			}
		}
	}
}

func TestWhatWasCachedBeforeItWasDeniedIsNotServedAnyMore(t *testing.T) {
	s, _ := newGenericStack(t, hubsim.Options{TokensOnRegistry: true})
	image := s.hub.AddImage("acme/tool", "1", small(1))
	s.pullAll(tool, "1", image)
	s.file = strings.Replace(s.file, "- name: quay\n", "- name: quay\n  deny: [acme/tool]\n", 1)
	s.reload()
	for _, path := range []string{"manifests/1", "manifests/" + image.Digest.String(), "blobs/" + image.Manifests[0].Config.Digest.String()} {
		if got := s.get(tool + path); got.status != 403 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

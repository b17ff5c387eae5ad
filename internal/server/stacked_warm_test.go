package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/warm"
)

// lastLine posts JSON as the administrator and reads the last line of the answer that
// tells something.
func lastLine[T any](s *stack, path string, body any) (last T) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.larder.Addr().String()+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	r.Header.Set("Content-Type", "application/json")
	got, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	var all bytes.Buffer
	if _, err := all.ReadFrom(got.Body); err != nil || got.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %d %s %v", path, got.StatusCode, all.Bytes(), err)
	}
	for _, line := range strings.Split(strings.TrimSpace(all.String()), "\n") {
		if strings.Contains(line, `"done":true`) || strings.Contains(line, `"working":true`) {
			continue
		}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
	}
	return last
}

func TestWarmingFetchesThePlatformsThatAreChosenAndNoOther(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{60_000, 4096}, Platforms: bothPlatforms})
	arm := api.WarmRequest{Image: "docker-hub/nginx:latest", Platforms: []string{"linux/arm64"}}
	warmed := func(r api.WarmRequest) api.Warmed {
		t.Helper()
		line := lastLine[api.WarmLine](s, "/api/v1/warm", r)
		if line.Warmed == nil {
			t.Fatalf("%+v: %+v", r, line)
		}
		return *line.Warmed
	}
	size := int64(0)
	for _, l := range append(image.Manifests[1].Layers, image.Manifests[1].Config) {
		size += l.Size
	}
	want := api.Warmed{Image: "docker-hub/library/nginx:latest", Digest: image.Digest.String(), Pulls: 2, Unknown: 2}
	dry := arm
	dry.DryRun = true
	if diff := cmp.Diff(want, warmed(dry)); diff != "" {
		t.Errorf("of a dry run (-want +got):\n%s", diff)
	}
	if counted := s.hub.Counters(); counted.PullsCounted != 0 || counted.CDNGETs != 0 {
		t.Fatalf("a dry run has cost %+v", counted)
	}
	want = api.Warmed{Image: want.Image, Digest: want.Digest, Pulls: 2, Blobs: 3, Bytes: size}
	if diff := cmp.Diff(want, warmed(arm)); diff != "" {
		t.Errorf("fetched (-want +got):\n%s", diff)
	}
	if counted := s.hub.Counters(); counted.PullsCounted != 2 || counted.CDNGETs != 3 {
		t.Errorf("it has cost %+v", counted)
	}
	want = api.Warmed{Image: want.Image, Digest: want.Digest}
	for _, again := range []api.WarmRequest{arm, dry} {
		if diff := cmp.Diff(want, warmed(again)); diff != "" {
			t.Errorf("again (-want +got):\n%s", diff)
		}
	}
	amd := api.WarmRequest{Image: "docker.io/library/nginx", DryRun: true}
	want.Pulls, want.Unknown = 1, 1
	if diff := cmp.Diff(want, warmed(amd)); diff != "" {
		t.Errorf("of the other platform (-want +got):\n%s", diff)
	}
	none := lastLine[api.WarmLine](s, "/api/v1/warm", api.WarmRequest{Image: "docker-hub/nginx", Platforms: []string{"linux/s390x"}})
	if !strings.Contains(none.Error, "it has no image for linux/s390x") {
		t.Errorf("of a platform that it does not have: %+v", none)
	}
}

func TestADrillFindsWhatCouldNotBePulledWithoutTheUpstream(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{60_000, 4096}, Platforms: bothPlatforms})
	drilled := func(platforms ...string) api.DrillLine {
		t.Helper()
		return lastLine[api.DrillLine](s, "/api/v1/drill", api.DrillRequest{Images: []string{"docker-hub/nginx:latest"}, Platforms: platforms})
	}
	wants := func(what string, got api.DrillLine, missing ...warm.Missing) {
		t.Helper()
		if diff := cmp.Diff(api.DrillLine{Image: "docker-hub/library/nginx:latest", Missing: missing}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	wants("of what was never pulled", drilled(), warm.Missing{Kind: "tag", Name: "latest"})
	s.get(nginx + "manifests/latest")
	wants("of a list alone", drilled(), warm.Missing{Kind: "platform", Name: "any"})
	lastLine[api.WarmLine](s, "/api/v1/warm", api.WarmRequest{Image: "docker-hub/nginx"})
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	wants("of one platform", drilled())
	wants("of the platform that is here", drilled("linux/amd64"))
	wants("of the other one", drilled("linux/arm64"), warm.Missing{Kind: "manifest", Digest: image.Manifests[1].Digest, Name: "linux/arm64"})
	wants("of one that it does not have", drilled("linux/s390x"), warm.Missing{Kind: "platform", Name: "linux/s390x"})

	layer := image.Manifests[0].Layers[0].Digest
	if err := os.Remove(s.blobFile(layer)); err != nil {
		t.Fatal(err)
	}
	wants("of a layer whose file is gone", drilled(), warm.Missing{Kind: "blob", Digest: layer})
}

func TestAMemberWarmsWhatOnlyTheProjectsOwnCredentialReads(t *testing.T) {
	s, demo, shop, app := lending(t)
	warms := func(token string) string {
		t.Helper()
		got := s.send(request{method: http.MethodPost, path: "/api/v1/warm", token: token, body: `{"image":"docker-hub/acme/app:1"}`})
		return strings.TrimSpace(string(got.body))
	}
	refused := warms(shop)
	s.hub.ResetRequests()
	if got, want := warms(demo), fmt.Sprintf(`"digest":%q,"pulls":1,"blobs":2,`, app.Digest); !strings.Contains(got, want) {
		t.Errorf("a member got %s, want %s", got, want)
	}
	if s.pulls("acme") != 1 || s.pulls("all")+s.pulls("bob")+s.pulls("") != 0 {
		t.Errorf("the Hub counted %+v", s.hub.Counters().Accounts)
	}
	s.hubSaw(names(app), "GET auth/token repository:acme/app:pull 200", "HEAD /v2/acme/app/manifests/1 200", "GET /v2/acme/app/manifests/1 200",
		"GET /v2/acme/app/blobs/LAYER-A1 307", "GET cdn/LAYER-A1 200", "GET /v2/acme/app/blobs/CONFIG-A 307", "GET cdn/CONFIG-A 200")
	if again := warms(shop); again != refused || !strings.Contains(refused, "Docker Hub does not have acme/app (1), or it is private and no credential of upstream docker-hub may read it") {
		t.Errorf("another project's member got %s, and then %s", refused, again)
	}
	s.hub.Break(hubsim.Fault{Kind: hubsim.Down})
	for _, path := range []string{"manifests/1", "blobs/" + app.Manifests[0].Layers[0].Digest.String(), "blobs/" + app.Manifests[0].Config.Digest.String()} {
		s.send(request{path: acmeApp + path, token: demo}).wants(t, 200, "larder; hit")
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

// hubPage is what tests look at of a page in Docker Hub's form.
type hubPage struct {
	Count          int
	Next, Previous *string
	Results        []struct {
		Name, Namespace string
		RepoName        string `json:"repo_name"`
		IsOfficial      bool   `json:"is_official"`
		TagStatus       string `json:"tag_status"`
	}
}

func (p hubPage) names() []string {
	names := []string{}
	for _, r := range p.Results {
		names = append(names, strings.TrimPrefix(r.Namespace+"/"+r.Name+r.RepoName, "/"))
	}
	return names
}

func readHub[T any](s *stack, got answer) T {
	s.t.Helper()
	var v T
	if got.status != 200 {
		s.t.Fatalf("answered %d: %s", got.status, got.body)
	}
	if err := json.Unmarshal(got.body, &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

func TestDockerHubsAPIOfRepositoriesShowsWhatTheCallerMaySee(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	s.hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{60_000}, Platforms: bothPlatforms})
	s.get(nginx + "manifests/latest")
	s.pushImage("demo/nginx-inside", "v1")
	admin := func(path string) answer { return s.send(request{path: path, admin: true}) }

	for _, path := range []string{
		"/v2/repositories/library/nginx/", "/v2/repositories/docker-hub/library/nginx",
		"/v2/namespaces/library/repositories/nginx",
	} {
		got := readHub[map[string]any](s, s.get(path))
		if got["namespace"] != "docker-hub" || got["name"] != "library/nginx" || got["is_private"] != false {
			t.Errorf("%s: %v", path, got)
		}
	}
	for _, path := range []string{
		"/v2/repositories/demo/nginx-inside/", "/v2/repositories/demo/", "/v2/repositories/demo/nginx-inside/tags",
		"/v2/namespaces/demo/repositories/nginx-inside/tags/v1", "/v2/repositories/none/app/", "/v2/repositories/none/",
	} {
		got := s.get(path)
		if got.status != 404 || !strings.Contains(string(got.body), "object not found") {
			t.Errorf("a stranger's %s: %d %s", path, got.status, got.body)
		}
	}
	if got := readHub[map[string]any](s, admin("/v2/repositories/demo/nginx-inside/")); got["is_private"] != true || got["name"] != "nginx-inside" {
		t.Errorf("the owner sees %v", got)
	}
	search := "/v2/search/repositories/?query=nginx"
	if diff := cmp.Diff([]string{"docker-hub/library/nginx"}, readHub[hubPage](s, s.get(search)).names()); diff != "" {
		t.Errorf("a stranger finds (-want +got):\n%s", diff)
	}
	found := readHub[hubPage](s, admin(search))
	if diff := cmp.Diff([]string{"demo/nginx-inside", "docker-hub/library/nginx"}, found.names()); diff != "" || !found.Results[1].IsOfficial {
		t.Errorf("the owner finds %v (-want +got):\n%s", found, diff)
	}
}

func TestDockerHubsAPIOfTagsTellsSizesOfPlatforms(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	pushed := s.hub.AddImage("library/nginx", "latest", hubsim.Image{Seed: 1, LayerSizes: []int64{60_000}, Platforms: bothPlatforms})
	s.get(nginx + "manifests/latest")
	s.get(nginx + "manifests/" + pushed.Manifests[1].Digest.String())
	tag := readHub[struct {
		Name, Digest string
		FullSize     int64  `json:"full_size"`
		TagStatus    string `json:"tag_status"`
		Images       []struct {
			OS, Architecture, Digest, Status string
			Size                             int64
		}
	}](s, s.get("/v2/repositories/library/nginx/tags/latest/"))
	if tag.Digest != pushed.Digest.String() || tag.TagStatus != "active" || len(tag.Images) != 2 {
		t.Fatalf("the tag is %+v", tag)
	}
	for i, want := range []struct {
		architecture string
		held         bool
	}{{"amd64", false}, {"arm64", true}} {
		got := tag.Images[i]
		if got.OS != "linux" || got.Architecture != want.architecture || got.Digest != pushed.Manifests[i].Digest.String() || (got.Size > 60_000) != want.held {
			t.Errorf("image %d is %+v", i, got)
		}
	}
}

func TestDockerHubsAPIHasPages(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	for i := range 5 {
		s.pushImage("demo/app", fmt.Sprint("v", i))
	}
	path, names := "/v2/repositories/demo/app/tags/?page_size=2", []string{}
	for range 3 {
		page := readHub[hubPage](s, s.send(request{path: path, admin: true}))
		if page.Count != 5 || len(page.Results) > 2 {
			t.Fatalf("a page of %d of %d", len(page.Results), page.Count)
		}
		for _, r := range page.Results {
			names = append(names, r.Name)
		}
		if page.Next == nil {
			break
		}
		path = *page.Next
	}
	if diff := cmp.Diff([]string{"v4", "v3", "v2", "v1", "v0"}, names); diff != "" {
		t.Errorf("the tags, the newest first (-want +got):\n%s", diff)
	}
	for query, want := range map[string]int{"page=9": 200, "page=0": 400, "page_size=x": 400, "name=v3": 200} {
		if got := s.send(request{path: "/v2/repositories/demo/app/tags?" + query, admin: true}); got.status != want {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	for _, r := range []request{
		{method: http.MethodPost, path: "/v2/repositories/demo/app/"}, {path: "/v2/search/nothing"},
		{path: "/v2/repositories/demo%2Fapp/x"}, {path: "/v2/repositories/demo/app/", header: map[string]string{"Authorization": "Bearer forged"}},
	} {
		if got := s.send(r); got.status < 400 || got.status >= 500 || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
}

package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

// acceptAll is the signature policy of a machine that asks for no signatures.
const acceptAll = `{"default": [{"type": "insecureAcceptAnything"}]}`

// skopeo is skopeo as the admin uses it.
type skopeo struct{ *program }

func newSkopeo(t *testing.T) skopeo {
	t.Helper()
	p := newProgram(t, "skopeo")
	p.write(".config/containers/policy.json", acceptAll)
	return skopeo{p}
}

const skopeoLogin = "admin:" + adminPassword

func (s skopeo) push(from, to string, options ...string) {
	s.t.Helper()
	s.run(append([]string{"copy", "--dest-tls-verify=false", "--dest-creds", skopeoLogin, from, "docker://" + to}, options...)...)
}

func (s skopeo) pull(from, to string, options ...string) {
	s.t.Helper()
	s.run(append([]string{"copy", "--src-tls-verify=false", "--src-creds", skopeoLogin, "docker://" + from, to}, options...)...)
}

// raw is the manifest as the registry serves it.
func (s skopeo) raw(image string) string {
	s.t.Helper()
	return s.run("inspect", "--raw", "--tls-verify=false", "--creds", skopeoLogin, "docker://"+image)
}

func (s skopeo) tags(repository string) []string {
	s.t.Helper()
	var list struct{ Tags []string }
	s.decode(&list, "list-tags", "--tls-verify=false", "--creds", skopeoLogin, "docker://"+repository)
	return list.Tags
}

func (s skopeo) decode(into any, args ...string) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.run(args...)), into); err != nil {
		s.t.Fatal(err)
	}
}

func TestSkopeoCopiesBothFormatsToAHostedProjectAndBack(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	source := "oci:" + newImageFolder(t)
	tests := []struct{ name, format, mediaType string }{
		{"an OCI image stays one", "oci", "application/vnd.oci.image.manifest.v1+json"},
		{"a Docker image stays one", "v2s2", "application/vnd.docker.distribution.manifest.v2+json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := newSkopeo(t)
			image := s.main + "/demo/apps/web:" + tt.format

			client.push(source, image, "--format", tt.format)

			pushed := client.raw(image)
			var manifest struct{ MediaType string }
			if err := json.Unmarshal([]byte(pushed), &manifest); err != nil || manifest.MediaType != tt.mediaType {
				t.Errorf("the manifest has media type %q (%v), want %q", manifest.MediaType, err, tt.mediaType)
			}
			folder := filepath.Join(client.home, "back")
			client.pull(image, "dir:"+folder)
			if diff := cmp.Diff(pushed, read(t, filepath.Join(folder, "manifest.json"))); diff != "" {
				t.Errorf("the manifest came back changed (-pushed +pulled):\n%s", diff)
			}
		})
	}
}

func TestSkopeoInspectsAndListsTags(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newSkopeo(t)
	source := "oci:" + newImageFolder(t)
	for _, tag := range []string{"b", "a", "c"} {
		client.push(source, s.main+"/demo/app:"+tag)
	}

	var seen struct {
		Name, Digest string
		RepoTags     []string
		Layers       []string
	}
	client.decode(&seen, "inspect", "--tls-verify=false", "--creds", skopeoLogin, "docker://"+s.main+"/demo/app:a")

	if want := []string{"a", "b", "c"}; !slices.Equal(seen.RepoTags, want) || !slices.Equal(client.tags(s.main+"/demo/app"), want) {
		t.Errorf("inspect shows tags %v, list-tags shows %v, want %v", seen.RepoTags, client.tags(s.main+"/demo/app"), want)
	}
	if seen.Name != s.main+"/demo/app" || len(seen.Layers) != 2 {
		t.Errorf("inspect shows %+v", seen)
	}
}

func TestSkopeoSyncsARepositoryToAFolderAndOnToAnotherProject(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newSkopeo(t)
	for _, tag := range []string{"1", "2"} {
		client.push("oci:"+newImageFolder(t), s.main+"/demo/app:"+tag)
	}

	folder := filepath.Join(client.home, "synced")
	client.run("sync", "--src-tls-verify=false", "--src-creds", skopeoLogin,
		"--src", "docker", "--dest", "dir", s.main+"/demo/app", folder)
	client.run("sync", "--dest-tls-verify=false", "--dest-creds", skopeoLogin,
		"--src", "dir", "--dest", "docker", folder, s.main+"/copies")

	for _, tag := range []string{"1", "2"} {
		if diff := cmp.Diff(client.raw(s.main+"/demo/app:"+tag), client.raw(s.main+"/copies/app:"+tag)); diff != "" {
			t.Errorf("tag %s changed on its way (-from +to):\n%s", tag, diff)
		}
	}
}

func TestSkopeoDeletesAnImageWithAllItsTags(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newSkopeo(t)
	gone := "oci:" + newImageFolder(t)
	client.push(gone, s.main+"/demo/app:gone")
	client.push(gone, s.main+"/demo/app:gone-too")
	client.push("oci:"+newImageFolder(t), s.main+"/demo/app:kept")

	client.run("delete", "--tls-verify=false", "--creds", skopeoLogin, "docker://"+s.main+"/demo/app:gone")

	if diff := cmp.Diff([]string{"kept"}, client.tags(s.main+"/demo/app")); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	wants(t, client.fails("inspect", "--tls-verify=false", "--creds", skopeoLogin, "docker://"+s.main+"/demo/app:gone"), "manifest unknown")
}

func TestSkopeoCopiesFromTheCacheAndTheHubIsAskedForEachThingOnce(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	client := newSkopeo(t)
	image := s.hub.AddImage("library/nginx", "1.27", multiPlatform(hubsim.OCI))
	both := []string{"--all", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds", skopeoLogin}

	client.run(append([]string{"copy", "docker://" + s.main + "/docker-hub/nginx:1.27", "docker://" + s.main + "/demo/nginx:1.27"}, both...)...)
	if client.raw(s.main+"/demo/nginx:1.27") != string(image.Raw) {
		t.Error("the index came out changed")
	}
	s.hubSaw(image, 3,
		"GET /v2/library/nginx/blobs/CONFIG-A 307",
		"GET /v2/library/nginx/blobs/CONFIG-B 307",
		"GET /v2/library/nginx/blobs/LAYER-A1 307",
		"GET /v2/library/nginx/blobs/LAYER-B1 307",
		"GET /v2/library/nginx/manifests/1.27 200",
		"GET /v2/library/nginx/manifests/MANIFEST-A 200",
		"GET /v2/library/nginx/manifests/MANIFEST-B 200",
	)

	client.run(append([]string{"copy", "docker://" + s.main + "/docker-hub/nginx:1.27", "docker://" + s.main + "/other/nginx:1.27"}, both...)...)
	s.hubSawNothing()
}

package nodefiles_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/nodefiles"
)

const certs = "etc/containerd/certs.d"

// node is a folder that stands for one, and what has to be on it.
func node(t *testing.T, registries ...string) nodefiles.Keeper {
	t.Helper()
	k := nodefiles.Keeper{Root: t.TempDir()}
	for _, r := range registries {
		k.Files = append(k.Files,
			mirror.File{Path: "/" + certs + "/" + r + "/hosts.toml", Text: "server = \"" + r + "\"\n"},
			mirror.File{Path: "/" + certs + "/" + r + "/larder-ca.crt", Text: "the CA\n"})
	}
	return k
}

func write(t *testing.T, k nodefiles.Keeper, name, text string) {
	t.Helper()
	path := filepath.Join(k.Root, certs, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// has are the files of the node, and the last line of each.
func has(t *testing.T, k nodefiles.Keeper) map[string]string {
	t.Helper()
	found := map[string]string{}
	base := filepath.Join(k.Root, certs)
	err := fs.WalkDir(os.DirFS(base), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(base, name))
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		found[name] = lines[len(lines)-1]
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// kept keeps, and wants that many files to be changed by it.
func kept(t *testing.T, k nodefiles.Keeper, want int) {
	t.Helper()
	changed, err := k.Keep()
	if err != nil {
		t.Fatal(err)
	}
	if len(changed) != want {
		t.Errorf("it has changed %v, want %d files", changed, want)
	}
}

func TestFilesAreKeptInPlaceAndRemoved(t *testing.T) {
	k := node(t, "docker.io", "quay.io")
	kept(t, k, 4)
	kept(t, k, 0)
	want := map[string]string{
		"docker.io/hosts.toml": `server = "docker.io"`, "docker.io/larder-ca.crt": "the CA",
		"quay.io/hosts.toml": `server = "quay.io"`, "quay.io/larder-ca.crt": "the CA",
	}
	if diff := cmp.Diff(want, has(t, k)); diff != "" {
		t.Error(diff)
	}
	if err := os.Remove(filepath.Join(k.Root, certs, "quay.io/hosts.toml")); err != nil {
		t.Fatal(err)
	}
	k.Files[0].Text = "server = \"another\"\n"
	kept(t, k, 2)
	k.Files = k.Files[:2] // quay.io is mirrored no more
	kept(t, k, 2)
	if diff := cmp.Diff(map[string]string{"docker.io/hosts.toml": `server = "another"`, "docker.io/larder-ca.crt": "the CA"}, has(t, k)); diff != "" {
		t.Error(diff)
	}
	if removed, err := k.Remove(); err != nil || len(removed) != 2 {
		t.Errorf("it has removed %v, %v", removed, err)
	}
	if _, err := os.Stat(filepath.Join(k.Root, certs, "docker.io")); !os.IsNotExist(err) {
		t.Errorf("the empty folder is left: %v", err)
	}
}

func TestFilesOfOthersStayAsTheyAre(t *testing.T) {
	k := node(t, "docker.io", "quay.io")
	write(t, k, "docker.io/hosts.toml", "of somebody else\n")
	write(t, k, "ghcr.io/hosts.toml", "of somebody else\n")
	write(t, k, "quay.io/client.cert", "of somebody else\n")
	if err := os.Symlink("/etc/passwd", filepath.Join(k.Root, certs, "quay.io/link")); err != nil {
		t.Fatal(err)
	}
	changed, err := k.Keep()
	if err == nil || !strings.Contains(err.Error(), "docker.io/hosts.toml: it is somebody else's") || len(changed) != 2 {
		t.Errorf("it has changed %v, %v", changed, err)
	}
	if _, err := k.Remove(); err != nil {
		t.Error(err)
	}
	left := has(t, k)
	delete(left, "quay.io/link")
	want := map[string]string{"docker.io/hosts.toml": "of somebody else", "ghcr.io/hosts.toml": "of somebody else", "quay.io/client.cert": "of somebody else"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
}

func TestALinkInPlaceOfAFileIsNotFollowed(t *testing.T) {
	k := node(t, "docker.io")
	target := filepath.Join(t.TempDir(), "target")
	if err := os.WriteFile(target, []byte("of somebody else"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(k.Root, certs, "docker.io")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(folder, "hosts.toml")); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Keep(); err == nil {
		t.Error("it has written through a link")
	}
	if text, err := os.ReadFile(target); err != nil || string(text) != "of somebody else" {
		t.Errorf("the target says %q, %v", text, err)
	}
}

func TestWhatACrashHasLeftIsRemoved(t *testing.T) {
	k := node(t, "docker.io")
	write(t, k, "docker.io/.larder-unfinished-123", "half a fi")
	kept(t, k, 3)
	if _, is := has(t, k)["docker.io/.larder-unfinished-123"]; is {
		t.Error("it is still there")
	}
}

func TestWhetherContainerdReadsTheFilesIsToldByItsConfiguration(t *testing.T) {
	const folder = "/etc/containerd/certs.d"
	tests := []struct {
		name, config, more string
		want               nodefiles.Verdict
		why                string
	}{
		{"version 2", "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n", "", nodefiles.Reads, "config.toml"},
		{"version 3, with two folders", "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\n", "", nodefiles.Reads, "config.toml"},
		{"in a further file", "version = 2\n", "config_path = \"/etc/containerd/certs.d\"\n", nodefiles.Reads, "conf.d/more.toml"},
		{"empty", "config_path = \"\"\n", "", nodefiles.Ignores, "sets no config_path"},
		{"another folder", "config_path = \"/etc/certs\"\n", "", nodefiles.Ignores, `"/etc/containerd/certs.d:/etc/certs"`},
		{"a comment", "# config_path = \"/etc/containerd/certs.d\"\n", "", nodefiles.Ignores, "sets no config_path"},
		{"no file", "", "", nodefiles.Ignores, "restart containerd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := node(t)
			for name, text := range map[string]string{"../config.toml": tt.config, "../conf.d/more.toml": tt.more} {
				if text != "" {
					write(t, k, name, text)
				}
			}
			got, why := nodefiles.ReadByContainerd(k.Root, folder)
			if got != tt.want || !strings.Contains(why, tt.why) {
				t.Errorf("%s: %s", got, why)
			}
		})
	}
	k := node(t)
	write(t, k, "../config.toml", strings.Repeat("#", 2<<20))
	if got, why := nodefiles.ReadByContainerd(k.Root, folder); got != nodefiles.Unclear || !strings.Contains(why, "grep config_path") {
		t.Errorf("a huge file: %s: %s", got, why)
	}
}

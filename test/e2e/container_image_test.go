package e2e_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// projectFolder is the top of the project.
var projectFolder = filepath.Join("..", "..")

// buildImage makes the container image as make image does, and returns the archive and the
// image's digest.
func buildImage(t *testing.T, platforms string) (archive, digest string) {
	t.Helper()
	archive = filepath.Join(t.TempDir(), "larder.tar")
	build := exec.Command("go", "run", "./deploy/image", "-o", archive, "-version", "0.1.0-e2e", "-commit", "unknown", "-platforms", platforms)
	build.Dir = projectFolder
	output, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("building the image: %v\n%s", err, output)
	}
	return archive, regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(string(output))
}

func TestTheContainerImageIsMadeWithoutAnEngineAndRunsAsNobody(t *testing.T) {
	s := newStack(t, hubsim.Options{})
	archive, digest := buildImage(t, "linux/"+runtime.GOARCH)
	if _, again := buildImage(t, "linux/"+runtime.GOARCH); again != digest {
		t.Errorf("built twice it is %s and %s", digest, again)
	}
	name := s.main + "/demo/larder:1"
	client := newLarder(t)
	client.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	wants(t, client.run("copy", "oci-archive:"+archive, name), digest)

	node := newPodman(t, insecure(s.main))
	node.runWith(adminPassword, "login", "--username", "admin", "--password-stdin", s.main)
	node.run("pull", name)
	wants(t, node.run("run", "--rm", "--network", "host", name, "version"), "0.1.0-e2e")
	servesAsNobody(t, node, name)
}

func TestTheDockerfileMakesTheSameImageOfABuiltProgram(t *testing.T) {
	builder := newPodman(t, "")
	contextFolder := t.TempDir()
	for from, to := range map[string]string{
		filepath.Join(projectFolder, "Dockerfile"):                 "Dockerfile",
		filepath.Join(projectFolder, ".dockerignore"):              ".dockerignore",
		filepath.Join(projectFolder, "deploy/image/data/.keep"):    "deploy/image/data/.keep",
		os.Getenv(binaryVariable):                                  "bin/larder",
		filepath.Join(projectFolder, "deploy", "image", "main.go"): "deploy/image/main.go",
	} {
		copyFile(t, from, filepath.Join(contextFolder, to))
	}
	builder.run("build", "--isolation", "chroot", "-t", "larder", contextFolder)
	inspect := func(field string) string {
		return strings.TrimSpace(builder.run("image", "inspect", "--format", "{{json ."+field+"}}", "larder"))
	}
	got := []string{inspect("Config.User"), inspect("Config.Entrypoint"), inspect("Config.Cmd"), inspect("Config.Volumes"), inspect("Config.ExposedPorts")}
	want := []string{`"65532:65532"`, `["/larder"]`, `["serve"]`, `{"/var/lib/larder":{}}`, `{"5000/tcp":{}}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the image's configuration (-want +got):\n%s", diff)
	}
	servesAsNobody(t, builder, "larder")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(to, content, 0o755), os.Chmod(to, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// servesAsNobody runs an image as the chart does: read-only, without a right, with nothing
// to write to but its volume.
func servesAsNobody(t *testing.T, node *program, image string) {
	t.Helper()
	address := testkit.NewAddress(t)
	running := startDaemon(node, "run", "--rm", "--network", "host", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
		"--security-opt", "no-new-privileges", "--env", "LARDER_ADMIN_PASSWORD="+adminPassword, image, "serve", "--listen", address)
	running.await(`listens on https?://localhost:(\d+),`)
	answer, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("it answers %s", answer.Status)
	}
}

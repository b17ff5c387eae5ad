package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// oldRegistry is Docker's registry of before, which takes and serves schema 1.
func oldRegistry(t *testing.T) (address string) {
	t.Helper()
	p := newProgram(t, "docker-registry")
	address = testkit.NewAddress(t)
	p.write("config.yml", strings.Join([]string{
		"version: 0.1",
		"storage: {filesystem: {rootdirectory: " + p.home + "/images}}",
		"http: {addr: " + address + "}",
		"compatibility: {schema1: {enabled: true}}",
	}, "\n"))
	startDaemon(p, "serve", "config.yml").await("listening on")
	return address
}

// pushSchema1 pushes an image in Docker schema 1, and makes sure that it is served so.
func pushSchema1(client skopeo, image string) {
	client.t.Helper()
	client.push("oci:"+newImageFolder(client.t), image, "--format", "v2s1")
	wants(client.t, client.raw(image), `"schemaVersion":1`)
}

// conversion finds the line that converts an image in what was printed.
func conversion(t *testing.T, printed string) string {
	t.Helper()
	line := regexp.MustCompile(`skopeo copy --format v2s2 [ -~]*docker://[^ "]+ docker://[^ "\n]+`).FindString(printed)
	if line == "" {
		t.Fatalf("there is no line that converts the image in:\n%s", printed)
	}
	return line
}

// typed runs a line as a person pastes it.
func (s skopeo) typed(line string) {
	s.t.Helper()
	shell := *s.program
	shell.path = find(s.t, "sh")
	shell.run("-c", line)
}

// logIn leaves the admin's login in the file that skopeo and others read.
func (s skopeo) logIn(host string) {
	s.t.Helper()
	s.runWith(adminPassword, "login", "--tls-verify=false", "-u", "admin", "--password-stdin", host)
}

func TestTheLineOfLarderCopyConvertsASchema1ImageIntoLarder(t *testing.T) {
	old, s := oldRegistry(t), newStack(t, hubsim.Options{})
	client := newSkopeo(t)
	pushSchema1(client, old+"/project/app:1")
	larder := newLarder(t)
	larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")

	line := conversion(t, larder.fails("copy", old+"/project/app:1", s.main+"/demo/app:1"))
	client.logIn(s.main)
	client.typed(line)

	if err := validate.Image(newCrane(t).pull(s.main + "/demo/app:1")); err != nil {
		t.Error(err)
	}
}

func TestAPushOfASchema1ImageIsRefusedWithTheLineThatConvertsIt(t *testing.T) {
	old, s := oldRegistry(t), newStack(t, hubsim.Options{})
	client := newSkopeo(t)
	pushSchema1(client, old+"/project/app:1")

	printed := client.fails("copy", "--format", "v2s1", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds", skopeoLogin,
		"docker://"+old+"/project/app:1", "docker://"+s.main+"/demo/app:1")

	want := "skopeo copy --format v2s2 --dest-tls-verify=false docker://SOURCE docker://" + s.main + "/demo/app:1"
	if line := conversion(t, printed); line != want {
		t.Errorf("the line is\n%s\nwant\n%s", line, want)
	}
	client.logIn(s.main)
	client.typed(strings.Replace(want, "docker://SOURCE", "--src-tls-verify=false docker://"+old+"/project/app:1", 1))
	if err := validate.Image(newCrane(t).pull(s.main + "/demo/app:1")); err != nil {
		t.Error(err)
	}
}

func TestASignedSchema1ImageOfAnUpstreamIsConvertedByTheLineInTheAnswer(t *testing.T) {
	old := oldRegistry(t)
	client := newSkopeo(t)
	pushSchema1(client, old+"/project/app:1")
	s := newStack(t, hubsim.Options{}, "  - name: old", "    url: http://"+old)
	larder := newLarder(t)
	larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	larder.run("new-project", "demo")

	line := conversion(t, string(get(t, "http://"+s.main+"/v2/old/project/app/manifests/1", http.StatusBadGateway, "admin", adminPassword)))
	client.logIn(s.main)
	client.typed(line)

	if err := validate.Image(newCrane(t).pull(s.main + "/demo/app:1")); err != nil {
		t.Error(err)
	}
}

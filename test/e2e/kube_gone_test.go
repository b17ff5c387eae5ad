package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// What a pod does while Larder is gone, as the documentation's table has it.
const (
	starts = "starts"
	waits  = "waits for Larder"
)

// node is one on which Docker Hub's images come through Larder's mirror, or without it, and
// Larder's by its own name. The Hub is the simulated one.
func (s *stack) node(t *testing.T, mirrored bool) (pull func(image string) result, ctr *program) {
	t.Helper()
	ctr = newContainerd(t)
	hub, registry := s.hub.URL(), "http://"+s.main
	hosts := func(first, server string) string {
		return "server = \"" + server + "\"\n[host.\"" + first + "\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
	}
	asked := hub
	if mirrored {
		asked = registry
	}
	folder := filepath.Dir(filepath.Dir(ctr.write("hosts/docker.io/hosts.toml", hosts(asked, hub))))
	ctr.write("hosts/"+s.main+"/hosts.toml", hosts(registry, registry))
	return func(image string) result {
		return ctr.try("", "images", "pull", "--hosts-dir", folder, "--snapshotter", "native", s.onNode(image))
	}, ctr
}

// onNode is an image as ctr wants it, with Larder's address in place of its name, which no
// DNS knows here.
func (s *stack) onNode(image string) string {
	if !strings.Contains(image, "/") {
		return "docker.io/library/" + image
	}
	return strings.Replace(image, rewrittenHost, s.main, 1)
}

// outcome is what becomes of a pod whose image has to be pulled.
func outcome(r result) string {
	if r.code != 0 {
		return waits
	}
	return starts
}

// gone is one way in, and what was seen of it: the node's and the API server's own words.
type gone struct{ way, newPod, restarted, always string }

func TestWhatHappensWhenLarderIsGoneIsWhatTheTableSays(t *testing.T) {
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	s, _ := c.newRewritingStack()
	s.hub.AddImage("library/nginx", "latest", multiPlatform(hubsim.OCI))
	policy := s.larder.run("kube", "policy")
	c.await("demo", "nginx:latest", cached+"library/nginx:latest")
	rewritten := c.made("demo", "nginx:latest")

	const original = "nginx:latest"
	mirrored, onMirrored := s.node(t, true)
	plain, onPlain := s.node(t, false)
	for name, r := range map[string]result{"by the mirror": mirrored(original), "by its new name": plain(rewritten)} {
		if r.code != 0 {
			t.Fatalf("with Larder the image cannot be pulled %s: %s", name, r.both())
		}
	}
	if err := s.daemon.terminate(); err != nil {
		t.Fatal(err)
	}
	// A node that has the image starts a container from it again without asking anybody.
	restarted := func(ctr *program, image string) string {
		if strings.Contains(ctr.run("images", "check", "--snapshotter", "native", "name=="+s.onNode(image)), " complete ") {
			return starts
		}
		return waits
	}
	fresh := func(mirror bool, image string) string {
		pull, _ := s.node(t, mirror)
		return outcome(pull(image))
	}

	seen := []gone{{
		"node mirrors", fresh(true, original), restarted(onMirrored, original), outcome(mirrored(original)),
	}}
	c.await("demo", original, original) // the webhook is gone with Larder
	seen = append(seen, gone{"a webhook", fresh(false, c.made("demo", original)), restarted(onPlain, rewritten), outcome(plain(rewritten))})
	c.do("kubectl delete mutatingwebhookconfiguration larder")
	c.kubectl.runWith(policy, "apply", "--filename", "-")
	c.await("demo", original, rewritten)
	seen = append(seen, gone{"a policy, until its watcher has seen it", fresh(false, c.made("demo", original)), restarted(onPlain, rewritten), outcome(plain(rewritten))})
	c.kubectl.run("patch", "configmap", "larder-rewriting", "--namespace", "larder", "--type=merge", `--patch={"data":{"enabled":"unready"}}`)
	c.await("demo", original, original)
	seen = append(seen, gone{"a policy, after its watcher has seen it", fresh(false, c.made("demo", original)), restarted(onPlain, rewritten), outcome(plain(rewritten))})

	text, err := os.ReadFile("../../docs/clusters.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range seen {
		row := "| " + strings.Join([]string{g.way, g.newPod, g.restarted, g.always}, " | ") + " |\n"
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/clusters.md has no row\n%s", row)
		}
	}
}

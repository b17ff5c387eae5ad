package e2e_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

const (
	// takesEffect bounds how long a change on the cluster takes to count in Larder, on a
	// busy machine. It is three seconds for Larder itself.
	takesEffect = time.Minute
	// shipped are the files that are made for clusters.
	shipped = "../../deploy/kubernetes"
)

// cluster is a real Kubernetes API server on which all was done that the documentation
// says, as its administrator sees it.
type cluster struct {
	*kubeserver.Server
	t       *testing.T
	kubectl *program
}

// newCluster starts one, which runs the controllers that are named. Tests that wait for it most
// of the time, and have no container engine beside it, run beside each other.
func newCluster(t *testing.T, controllers ...string) *cluster {
	t.Helper()
	return newClusterWith(t, kubeserver.Options{Controllers: controllers})
}

func newClusterWith(t *testing.T, options kubeserver.Options) *cluster {
	t.Helper()
	server, err := kubeserver.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(server.Logs())
		}
		server.Stop()
	})
	c := &cluster{Server: server, t: t}
	c.kubectl = c.as(server.Admin)
	for _, name := range []string{"rbac.yaml", "imagestreams-crd.yaml", "clusterroles.yaml"} {
		c.kubectl.run("apply", "--filename", shippedFile(t, name), "--validate=strict")
	}
	c.kubectl.run("wait", "--for=condition=Established", "crd/imagestreams.image.openshift.io", "--timeout=60s")
	return c
}

// in is the cluster for a part of the test.
func (c *cluster) in(t *testing.T) *cluster {
	part := *c
	part.t = t
	part.kubectl = part.as(c.Admin)
	return &part
}

// as is kubectl for whoever has a kubeconfig.
func (c *cluster) as(kubeconfig string) *program {
	c.t.Helper()
	kubectl := newProgram(c.t, c.Kubectl)
	// By itself it gives a busy machine half a minute to say which kinds of objects there are.
	kubectl.args = []string{"--kubeconfig=" + kubeconfig, "--request-timeout=" + clientTimeout.String()}
	return kubectl
}

func shippedFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(shipped, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// do runs lines as the documentation has them. No word of them holds a space.
func (c *cluster) do(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		words := strings.Fields(line)
		if words[0] != "kubectl" {
			c.t.Fatalf("%q is no line for kubectl", line)
		}
		c.kubectl.run(words[1:]...)
	}
}

// account makes a service account and returns a token of it.
func (c *cluster) account(namespace, name string) string {
	c.t.Helper()
	c.kubectl.run("create", "serviceaccount", name, "--namespace", namespace)
	return c.token(namespace, name)
}

func (c *cluster) token(namespace, name string, options ...string) string {
	c.t.Helper()
	return strings.TrimSpace(c.kubectl.run(append([]string{"create", "token", name, "--namespace", namespace}, options...)...))
}

// newStack starts Larder with this cluster's decisions. It asks as the service account
// that is shipped, from outside of the cluster.
func (c *cluster) newStack(config ...string) *stack {
	c.t.Helper()
	kubeconfig, err := c.Kubeconfig("larder", c.token("larder", "larder", "--duration=24h"))
	if err != nil {
		c.t.Fatal(err)
	}
	lines := []string{"access: kubernetes", "kubernetes:", "  kubeconfig: " + kubeconfig}
	return newStack(c.t, hubsim.Options{}, append(lines, config...)...)
}

// in is the stack for a part of the test.
func (s *stack) in(t *testing.T) *stack {
	part := *s
	part.t = t
	return &part
}

// reviews is what the cluster was asked while something was done.
func (c *cluster) reviews(do func()) kubeserver.Reviews {
	c.t.Helper()
	count := func() kubeserver.Reviews {
		n, err := c.Reviews(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		return n
	}
	before := count()
	do()
	return count().Since(before)
}

// pullStatus is what Larder answers to who begins to pull an image with a token of the
// cluster, or without one.
func (s *stack) pullStatus(image, token string) int {
	s.t.Helper()
	repository, tag, _ := strings.Cut(image, ":")
	return s.status(http.MethodHead, "/v2/"+repository+"/manifests/"+tag, token)
}

// pushStatus is what Larder answers to who begins to push to a repository.
func (s *stack) pushStatus(repository, token string) int {
	s.t.Helper()
	return s.status(http.MethodPost, "/v2/"+repository+"/blobs/uploads/", token)
}

func (s *stack) status(method, path, token string) int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), clientTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.main+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// becomes waits until Larder answers with a status.
func (s *stack) becomes(status int, ask func() int) {
	s.t.Helper()
	got := 0
	s.await(func() bool {
		got = ask()
		return got == status
	})
	if got != status {
		s.t.Fatalf("%s later Larder still answers %d, and not %d", takesEffect, got, status)
	}
}

// await asks again and again whether a change on the cluster counts, until it does or has
// had its time.
func (s *stack) await(counts func() bool) {
	s.t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	began := time.Now()
	for !counts() {
		if time.Since(began) > takesEffect {
			return
		}
		<-ticker.C
	}
	s.t.Logf("it counts after %s", time.Since(began).Round(time.Millisecond))
}

// pullable waits until whoever shows a token may pull an image.
func (s *stack) pullable(image, token string) {
	s.t.Helper()
	s.becomes(http.StatusOK, func() int { return s.pullStatus(image, token) })
}

// pushable waits until whoever shows a token may push to a repository.
func (s *stack) pushable(repository, token string) {
	s.t.Helper()
	s.becomes(http.StatusAccepted, func() int { return s.pushStatus(repository, token) })
}

// loginTo logs docker or podman in with a token.
func (s *stack) loginTo(client *program, token string) {
	client.t.Helper()
	client.runWith(token, "login", "--username", "unused", "--password-stdin", s.main)
}

package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// optIn is what the documentation says to do for a namespace.
func (c *cluster) optIn(namespace string) {
	c.t.Helper()
	c.do("kubectl label namespace "+namespace+" larder.dev/pull-secrets=enabled",
		"kubectl create rolebinding larder-pull-secrets -n "+namespace+" --clusterrole=larder-pull-secrets --serviceaccount=larder:larder")
}

// pullFile is a file in Docker's form with what the pod of a namespace pulls with: nothing
// where the pod has no secret.
func (c *cluster) pullFile(namespace, pod string) string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "auth.json")
	text := `{"auths":{}}`
	if name := c.kubectl.run("get", "pod", pod, "-n", namespace, "-o", "jsonpath={.spec.imagePullSecrets[*].name}"); name != "" {
		text = c.kubectl.run("get", "secret", name, "-n", namespace, `-o`, `go-template={{index .data ".dockerconfigjson" | base64decode}}`)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// deployed makes a Deployment whose manifest says nothing of pulling, and returns its pod.
func (c *cluster) deployed(namespace, name, image string) (pod string) {
	c.t.Helper()
	c.kubectl.run("create", "deployment", name, "-n", namespace, "--image", image)
	c.kubectl.run("wait", "--for=create", "pod", "--selector=app="+name, "-n", namespace, "--timeout=60s")
	return c.kubectl.run("get", "pods", "--selector=app="+name, "-n", namespace, "-o", "jsonpath={.items[0].metadata.name}")
}

// awaitSecret waits until the service account of a namespace's pods has a pull secret, or
// has none.
func (c *cluster) awaitSecret(namespace, want string) {
	c.t.Helper()
	got := ""
	for deadline := time.Now().Add(takesEffect); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got = c.kubectl.run("get", "serviceaccount", "default", "-n", namespace, "-o", "jsonpath={.imagePullSecrets[*].name}"); got == want {
			return
		}
	}
	c.t.Fatalf("the service account of namespace %s has the pull secrets %q, want %q", namespace, got, want)
}

// Push, deploy, pull, with nothing in the manifest, in the namespace of the project and,
// once it is granted, in another one. What a node would pull with is what skopeo is given.
func TestPodsPullPrivateImagesWithNothingInTheirManifests(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		start    func(c *cluster, listen string) *stack
		projects func(c *cluster, s *stack)
		grant    func(c *cluster, s *stack)
	}{
		"Larder decides": {
			func(c *cluster, listen string) *stack {
				return newStack(c.t, hubsim.Options{}, "listen: "+listen, "publicURL: http://"+listen, "kubernetes: {pullSecrets: true, kubeconfig: "+c.larderConfig()+"}")
			},
			func(_ *cluster, s *stack) {
				s.larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
				s.larder.run("new-project", "demo")
				s.larder.run("new-project", "shop")
			},
			func(_ *cluster, s *stack) {
				s.larder.run("policy", "add-role-to-group", "system:image-puller", "system:serviceaccounts:shop", "-n", "demo")
			},
		},
		"the cluster decides": {
			func(c *cluster, listen string) *stack {
				return newStack(c.t, hubsim.Options{}, "listen: "+listen, "publicURL: http://"+listen, "access: kubernetes",
					"kubernetes: {pullSecrets: true, audiences: [registry], kubeconfig: "+c.larderConfig()+"}")
			},
			func(c *cluster, _ *stack) {
				c.do("kubectl create rolebinding system:image-pullers -n demo --clusterrole=system:image-puller --group=system:serviceaccounts:demo")
			},
			func(c *cluster, _ *stack) {
				c.do("kubectl create rolebinding shop -n demo --clusterrole=system:image-puller --group=system:serviceaccounts:shop")
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, append(podMakers(), "garbage-collector-controller")...)
			c.kubectl.run("apply", "--filename", shippedFile(t, "pull-secrets.yaml"), "--validate=strict")
			c.namespaces("demo", "shop", "quiet")
			s := tt.start(c, testkit.NewAddress(t))
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(s.daemon.output)
				}
			})
			tt.projects(c, s)
			newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/app:1")
			image := s.main + "/demo/app:1"
			pull := func(namespace, pod string) result {
				skopeo := newSkopeo(t)
				return skopeo.try("", "copy", "--src-tls-verify=false", "--src-authfile", c.pullFile(namespace, pod), "docker://"+image, "dir:"+t.TempDir())
			}

			before := c.deployed("demo", "before", image)
			if got := pull("demo", before); got.code == 0 {
				t.Fatal("before, a pod pulls: the rest would prove nothing")
			}
			c.kubectl.run("patch", "serviceaccount", "default", "-n", "shop", "--type=merge", "-p", `{"imagePullSecrets":[{"name":"theirs"}]}`)
			c.optIn("demo")
			c.optIn("shop")
			c.awaitSecret("demo", "larder-pull-default")
			c.awaitSecret("shop", "theirs larder-pull-default")
			c.awaitSecret("quiet", "")

			app := c.deployed("demo", "app", image)
			if got := pull("demo", app); got.code != 0 {
				t.Errorf("a pod of the project's namespace does not pull: %s", got.both())
			}
			if got := c.kubectl.run("get", "deployment", "app", "-n", "demo", "-o", "jsonpath={.spec.template.spec.imagePullSecrets}"); got != "" {
				t.Errorf("the manifest has %s", got)
			}
			c.kubectl.run("patch", "serviceaccount", "default", "-n", "shop", "--type=merge", "-p", `{"imagePullSecrets":[{"name":"larder-pull-default"}]}`)
			other := c.deployed("shop", "app", image)
			if got := pull("shop", other); got.code == 0 {
				t.Error("a pod of another namespace pulls before the grant")
			}
			tt.grant(c, s)
			var got result
			s.await(func() bool { got = pull("shop", other); return got.code == 0 })
			if got.code != 0 {
				t.Errorf("after the grant a pod of another namespace does not pull: %s", got.both())
			}

			kept := c.pullFile("demo", app)
			c.do("kubectl label namespace demo larder.dev/pull-secrets-")
			c.awaitSecret("demo", "")
			if got := c.kubectl.run("get", "secrets", "-n", "demo", "-o", "name"); got != "" {
				t.Errorf("left are %s", got)
			}
			s.await(func() bool {
				got = newSkopeo(t).try("", "copy", "--src-tls-verify=false", "--src-authfile", kept, "docker://"+image, "dir:"+t.TempDir())
				return got.code != 0
			})
			if got.code == 0 {
				t.Error("the credential of a secret that was removed still pulls")
			}
		})
	}
}

// larderConfig is a kubeconfig for the account that is shipped.
func (c *cluster) larderConfig() string {
	c.t.Helper()
	path, err := c.Kubeconfig("larder", c.token("larder", "larder", "--duration=24h"))
	if err != nil {
		c.t.Fatal(err)
	}
	return path
}

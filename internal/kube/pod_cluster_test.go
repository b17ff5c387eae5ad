package kube_test

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

// patience bounds what a real API server may take on a busy machine.
const patience = time.Minute

// realCluster is a real Kubernetes API server.
type realCluster struct {
	*kubeserver.Server
	t *testing.T
}

func (c realCluster) kubectl(line string) string {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), c.Kubectl, append([]string{"--kubeconfig=" + c.Admin}, strings.Fields(line)...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", line, err, output)
	}
	return strings.TrimSpace(string(output))
}

// mount is what a pod has of its service account.
func (c realCluster) mount(token string) (folder string) {
	c.t.Helper()
	authority, err := os.ReadFile(c.Authority())
	if err != nil {
		c.t.Fatal(err)
	}
	folder = c.t.TempDir()
	for name, text := range map[string]string{"ca.crt": string(authority), "token": token} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return folder
}

func (c realCluster) asker(folder string) *kube.Client {
	c.t.Helper()
	client, err := kube.New(kube.Config{PodFolder: folder, Timeout: patience})
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// In a pod Larder asks with what Kubernetes mounts there. The token is replaced all the
// time; here the old one is refused at once, as it is when the account was made anew.
func TestAPodOfARealClusterAsksWithTheTokenThatIsMountedThere(t *testing.T) {
	server, err := kubeserver.Start(t.Context(), kubeserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c := realCluster{server, t}
	for _, line := range []string{
		"create namespace larder", "create serviceaccount larder -n larder",
		"create clusterrolebinding larder --clusterrole=system:auth-delegator --serviceaccount=larder:larder",
		"create namespace demo", "create serviceaccount ci -n demo", "create role reader -n demo --verb=get --resource=pods,services",
		"create rolebinding ci -n demo --role=reader --serviceaccount=demo:ci",
	} {
		c.kubectl(line)
	}
	address, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", address.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", address.Port())
	first := c.kubectl("create token larder -n larder")
	folder := c.mount(first)
	client := c.asker(folder)
	asks := func(resource string) {
		t.Helper()
		// A token of its own each time: none is answered from memory.
		user, err := client.ReviewToken(t.Context(), c.kubectl("create token ci -n demo"))
		if err != nil || user.Name != "system:serviceaccount:demo:ci" {
			t.Fatalf("the token is that of %q: %v", user.Name, err)
		}
		may, err := client.ReviewAccess(t.Context(), kube.Access{User: user, Verb: "get", Resource: resource, Namespace: "demo"})
		if err != nil || !may {
			t.Errorf("getting %s is allowed: %v, %v", resource, may, err)
		}
	}
	asks("pods")

	c.kubectl("delete serviceaccount larder -n larder")
	c.kubectl("create serviceaccount larder -n larder")
	second := c.kubectl("create token larder -n larder")
	other := c.asker(c.mount(second))
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if _, err := other.ReviewToken(t.Context(), first); errors.Is(err, kube.ErrTokenRefused) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the API server takes the old token still")
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "token"), []byte(second), 0o600); err != nil {
		t.Fatal(err)
	}
	asks("services")
}

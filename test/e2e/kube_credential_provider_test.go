package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

// What kubelet sends is made here as kubelet makes it: a token of the pod's service account
// for the audience alone. What the plugin answers is what containerd is given.
func TestPodsPullByTheCredentialProviderAsTheirServiceAccounts(t *testing.T) {
	c := newCluster(t)
	c.do("kubectl create namespace demo", "kubectl create namespace shop",
		"kubectl create serviceaccount default -n demo", "kubectl create serviceaccount default -n shop")
	s := newStack(t, hubsim.Options{}, "kubernetes: {serviceAccountTokens: true, audiences: [registry], kubeconfig: "+c.larderConfig()+"}")
	s.larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	s.larder.run("new-project", "demo")
	newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/app:1")
	image := s.main + "/demo/app:1"

	pull := func(namespace string) result {
		request, err := json.Marshal(map[string]any{
			"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest", "image": image,
			"serviceAccountToken": c.token(namespace, "default", "--audience=registry"),
		})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Auth map[string]struct{ Username, Password string }
		}
		if err := json.Unmarshal([]byte(s.larder.runWith(string(request), "kube", "credential-provider")), &answer); err != nil {
			t.Fatal(err)
		}
		credential := answer.Auth[s.main]
		return newSkopeo(t).try("", "copy", "--src-tls-verify=false", "--src-creds", credential.Username+":"+credential.Password, "docker://"+image, "dir:"+t.TempDir())
	}
	if got := pull("demo"); got.code != 0 {
		t.Errorf("a pod of the project's namespace does not pull: %s", got.both())
	}
	if got := pull("shop"); got.code == 0 {
		t.Error("a pod of another namespace pulls before the grant")
	}
	s.larder.run("policy", "add-role-to-group", "system:image-puller", "system:serviceaccounts:shop", "-n", "demo")
	if got := pull("shop"); got.code != 0 {
		t.Errorf("after the grant a pod of another namespace does not pull: %s", got.both())
	}

	token := c.token("demo", "default", "--audience=registry")
	if got := s.pullStatus("demo/app:1", token); got != http.StatusOK {
		t.Errorf("the token as it is gets %d", got)
	}
	if got := s.pushStatus("demo/app", token); got != http.StatusForbidden {
		t.Errorf("a push with it gets %d", got)
	}
	if got := s.pullStatus("demo/app:1", c.token("demo", "default")); got != http.StatusUnauthorized {
		t.Errorf("a token for the cluster itself gets %d", got)
	}
	config := s.larder.run("kube", "credential-provider", "config", "--registry", "registry.example.com", "--audience", "registry")
	wants(t, config, "serviceAccountTokenAudience: \"registry\"\n    cacheType: Token\n    requireServiceAccount: true\n")
}

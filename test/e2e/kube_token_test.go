package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

func TestDockerPushesWithTheTokenOfAServiceAccount(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo")
	ci, editor := c.account("demo", "ci"), c.account("demo", "editor")
	s := c.newStack()
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	docker := s.newDocker(t)
	docker.run("pull", "nginx")
	for _, tag := range []string{"/demo/web:1", "/demo/web:2"} {
		docker.run("tag", "nginx", s.main+tag)
	}

	s.loginTo(docker, ci)
	refusal := docker.fails("push", s.main+"/demo/web:1")
	wants(t, refusal, "denied: project demo does not exist or you may not push to it; its owner can run kubectl create rolebinding ")
	// The line works as it stands, and is enough for the first push to a namespace.
	_, line, _ := strings.Cut(refusal, "its owner can run ")
	line, _, _ = strings.Cut(line, "\n")
	if want := "kubectl create rolebinding demo-ci-image-builder -n demo --clusterrole=system:image-builder --serviceaccount=demo:ci"; line != want {
		t.Fatalf("the line is\n%s\nwant\n%s", line, want)
	}
	c.do(line)
	s.pushable("demo/web", ci)
	docker.run("push", s.main+"/demo/web:1")
	docker.run("image", "rm", s.main+"/demo/web:1")
	docker.run("pull", s.main+"/demo/web:1")

	c.do("kubectl create rolebinding editors -n demo --clusterrole=registry-editor --serviceaccount=demo:editor")
	s.pushable("demo/web", editor)
	s.loginTo(docker, editor)
	docker.run("push", s.main+"/demo/web:2")

	c.do("kubectl delete serviceaccount ci -n demo")
	s.becomes(http.StatusUnauthorized, func() int { return s.pullStatus("demo/web:1", ci) })
	s.failsToLogIn(docker, ci)
}

// failsToLogIn fails the test unless docker is refused the login.
func (s *stack) failsToLogIn(docker *program, token string) {
	s.t.Helper()
	got := docker.try(token, "login", "--username", "unused", "--password-stdin", s.main)
	if got.code == 0 || !strings.Contains(got.both(), "unauthorized: ") || strings.Contains(got.both(), token) {
		s.t.Errorf("docker login: exit status %d\n%s", got.code, got.both())
	}
}

func TestATokenThatIsNotTheClustersOwnOpensNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo", "kubectl create rolebinding open -n demo --clusterrole=registry-editor --serviceaccount=demo:ci")
	good := c.account("demo", "ci")
	s := c.newStack()
	newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/app:1")
	docker := s.newDocker(t)
	s.loginTo(docker, good)
	s.pullable("demo/app:1", good)

	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change func(kubeserver.Claims)) kubeserver.Claims {
		all := kubeserver.Claims{
			"iss": kubeserver.Issuer, "sub": "system:serviceaccount:demo:ci", "aud": []string{kubeserver.Issuer},
			"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(time.Hour).Unix(),
			"kubernetes.io": map[string]any{"namespace": "demo", "serviceaccount": map[string]any{
				"name": "ci", "uid": c.kubectl.run("get", "serviceaccount", "ci", "-n", "demo", "-o", "jsonpath={.metadata.uid}"),
			}},
		}
		change(all)
		return all
	}
	same := func(kubeserver.Claims) {}
	header, payload, _ := strings.Cut(good[:strings.LastIndexByte(good, '.')], ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	mine := c.sign(c.Key(), claims(same))
	if got := s.pullStatus("demo/app:1", mine); got != http.StatusOK {
		t.Fatalf("a token that is in order gets %d: the others would prove nothing", got)
	}
	for name, token := range map[string]string{
		"of another key":           c.sign(stranger, claims(same)),
		"without a signature":      none + "." + payload + ".",
		"with a signature cut off": header + "." + payload + ".",
		"that has expired":         c.sign(c.Key(), claims(func(all kubeserver.Claims) { all["exp"] = time.Now().Add(-time.Minute).Unix() })),
		"of another issuer":        c.sign(c.Key(), claims(func(all kubeserver.Claims) { all["iss"] = "https://elsewhere.example.com" })),
		"for another audience":     c.sign(c.Key(), claims(func(all kubeserver.Claims) { all["aud"] = []string{"vault"} })),
		"of an account made anew": c.sign(c.Key(), claims(func(all kubeserver.Claims) {
			all["kubernetes.io"].(map[string]any)["serviceaccount"].(map[string]any)["uid"] = "gone"
		})),
		"made for another audience": c.token("demo", "ci", "--audience=registry.example.com"),
	} {
		t.Run("one "+name, func(t *testing.T) {
			s := s.in(t)
			if got := s.pullStatus("demo/app:1", token); got != http.StatusUnauthorized {
				t.Errorf("a pull gets %d", got)
			}
			s.failsToLogIn(docker, token)
		})
	}
}

func (c *cluster) sign(key *rsa.PrivateKey, claims kubeserver.Claims) string {
	c.t.Helper()
	token, err := kubeserver.Sign(key, claims)
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

func TestTokensWithTheRegistrysOwnAudienceOpenTheRegistryAndNotTheCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo", "kubectl create rolebinding open -n demo --clusterrole=registry-editor --serviceaccount=demo:ci")
	c.account("demo", "ci")
	s := c.newStack("  audiences: [registry.example.com]")
	newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/app:1")
	own, clusters := c.token("demo", "ci", "--audience=registry.example.com"), c.token("demo", "ci")

	s.pullable("demo/app:1", own)
	if got := s.pullStatus("demo/app:1", clusters); got != http.StatusUnauthorized {
		t.Errorf("a token for the cluster gets %d", got)
	}
	s.loginTo(s.newDocker(t), own)
	kubeconfig, err := c.Kubeconfig("ci", own)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, c.as(kubeconfig).fails("get", "pods", "-n", "demo"), "You must be logged in to the server")
}

package e2e_test

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/testkit"
)

// webhookAccount has the account that the documentation gives a webhook with a certificate
// from the cluster, and is how it logs in.
func (c *cluster) webhookAccount() (kubeconfig string) {
	c.t.Helper()
	c.kubectl.run("apply", "--filename", shippedFile(c.t, "webhook.yaml"), "--validate=strict")
	kubeconfig, err := c.Kubeconfig("larder", c.token("larder", "larder"))
	if err != nil {
		c.t.Fatal(err)
	}
	return kubeconfig
}

// newSharing is a stack whose webhook has its certificate from the cluster, by an account
// that may do no more than the documentation says.
func (c *cluster) newSharing(kubeconfig string) (s *stack, webhook string) {
	c.t.Helper()
	webhook = testkit.NewAddress(c.t)
	s = newStack(c.t, hubsim.Options{},
		"publicURL: https://"+rewrittenHost, "kubernetes:", "  listen: "+webhook, "  kubeconfig: "+kubeconfig,
		"  secret: larder/larder-webhook", "  names: [127.0.0.1]")
	return s, webhook
}

func TestReplicasShareTheWebhooksCertificateAndMakeItAnew(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	kubeconfig := c.webhookAccount()
	_, first := c.newSharing(kubeconfig)
	_, second := c.newSharing(kubeconfig)
	manifest, err := mirror.Webhook(mirror.DockerHub(rewrittenHost), mirror.OptOut{}, mirror.Endpoint{URL: "https://" + first})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl.runWith(manifest, "apply", "--filename", "-")
	c.await("demo", "nginx", cached+"library/nginx:latest") // the authority was written into it
	reach := func(address string) {
		c.kubectl.run("patch", "mutatingwebhookconfiguration", "larder", "--type=json",
			`--patch=[{"op":"replace","path":"/webhooks/0/clientConfig/url","value":"https://`+address+mirror.WebhookPath+`"}]`)
	}
	reach(second)
	c.await("demo", "busybox", cached+"library/busybox:latest")
	was := c.certificate()
	c.do("kubectl delete secret larder-webhook --namespace larder")
	for deadline := time.Now().Add(takesEffect); c.certificate() == "" || c.certificate() == was; {
		c.made("demo", "redis") // rewritten or not, it has to be made
		if time.Now().After(deadline) {
			t.Fatal("no other certificate is made")
		}
	}
	for _, address := range []string{first, second} {
		reach(address)
		c.await("demo", "nginx:"+address[len(address)-5:], cached+"library/nginx:"+address[len(address)-5:])
	}
}

// certificate is what the replicas share, empty when they share none.
func (c *cluster) certificate() string {
	c.t.Helper()
	return c.kubectl.run("get", "secret", "larder-webhook", "--namespace", "larder", "--ignore-not-found", `--output=jsonpath={.data.tls\.crt}`)
}

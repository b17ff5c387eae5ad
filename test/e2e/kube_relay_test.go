package e2e_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/testkit"
)

// relayWait is how long a pod may be held up by a registry that is gone: a second by the
// relay, and what a busy machine adds.
const relayWait = 10 * time.Second

func TestARelayRewritesWhileTheRegistryIsThereAndLeavesPodsAloneWhileItIsNot(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	kubeconfig := c.webhookAccount()
	s, registry := c.newSharing(kubeconfig)
	address := testkit.NewAddress(t)
	relay := startDaemon(newLarder(t), "kube", "relay", "--listen", address, "--to", "https://"+registry,
		"--secret", "larder/larder-webhook", "--name", "127.0.0.1", "--kubeconfig", kubeconfig)
	manifest, err := mirror.Webhook(mirror.DockerHub(rewrittenHost), mirror.OptOut{}, mirror.Endpoint{URL: "https://" + address})
	if err != nil {
		t.Fatal(err)
	}
	c.kubectl.runWith(manifest, "apply", "--filename", "-")
	c.await("demo", "nginx", cached+"library/nginx:latest")

	s.daemon.signalGroup(syscall.SIGKILL)
	<-s.daemon.ended
	for range 5 {
		began := time.Now()
		if got := c.made("demo", "nginx"); got != "nginx" {
			t.Errorf("without the registry a pod gets %s", got)
		}
		if took := time.Since(began); took > relayWait {
			t.Errorf("without the registry a pod takes %s", took)
		}
	}
	relay.await("the registry's webhook does not answer")
	s.start()
	c.await("demo", "nginx", cached+"library/nginx:latest")
	if err := relay.terminate(); err != nil {
		t.Errorf("the relay ends with %v", err)
	}
}

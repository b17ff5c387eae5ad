package kube_test

import (
	"log/slog"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/testkit"
	"github.com/larder-registry/larder/internal/testkit/kubetest"
)

// cluster is an API server, and the clock and the log of those who ask it.
type cluster struct {
	*kubetest.Cluster
	t     *testing.T
	clock *testkit.Clock
	log   *testkit.Buffer
}

func newCluster(t *testing.T) *cluster {
	return &cluster{
		Cluster: kubetest.New(t), t: t,
		clock: testkit.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)), log: new(testkit.Buffer),
	}
}

// client makes a client by a kubeconfig.
func (c *cluster) client(audiences ...string) *kube.Client {
	c.t.Helper()
	return c.clientWith(kube.Config{Audiences: audiences, Timeout: 20 * time.Second})
}

func (c *cluster) clientWith(config kube.Config) *kube.Client {
	c.t.Helper()
	config.Kubeconfig, config.UserAgent = c.Kubeconfig(), "larder/test"
	config.Now, config.Log = c.clock.Now, slog.New(slog.NewTextHandler(c.log, nil))
	client, err := kube.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	return client
}

// knows has the cluster know a token.
func (c *cluster) knows(token string, user authentication.UserInfo) {
	c.Knows(token, authentication.TokenReviewStatus{Authenticated: true, User: user})
}

// asked returns how many reviews of both kinds there were since the last call.
func (c *cluster) asked() (tokens, accesses int) {
	reviewed, decided := c.Asked()
	return len(reviewed), len(decided)
}

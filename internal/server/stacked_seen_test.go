package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/hubsim"
)

func TestItIsSeenWhichPodsRunWhichImagesAndWhoPullsThroughTheMirrorOfANode(t *testing.T) {
	cluster := newPodCluster(t)
	s := newStack(t, hubsim.Options{}, "publicURL: https://registry.example\nkubernetes: {kubeconfig: "+cluster.kubeconfig+", pinRunning: 2h}\n")
	one, two := s.hub.AddImage("library/one", "1", small(1)), s.hub.AddImage("acme/two", "1", small(2))
	s.get("/v2/library/one/manifests/1?ns=docker.io").is(t, one.Digest)
	s.get("/v2/docker-hub/acme/two/manifests/1").is(t, two.Digest)
	s.asks(http.MethodPost, "/api/v1/projects", map[string]string{"name": "acme"}) // in a pod acme/two stays Docker Hub's
	cluster.runs(map[string]digest.Digest{
		"one:1": one.Digest, "acme/two:1": two.Digest, "registry.example/docker-hub/acme/two:1": two.Digest, "quay.io/other/image:1": digest.FromString("x"),
	}, false)

	var pods api.ClusterPodList
	s.eventually("the images are pinned", func() bool {
		s.read("/api/v1/kubernetes/pods", &pods)
		pinned := 0
		for _, p := range pods.Items {
			if p.Images[0].Pinned {
				pinned++
			}
		}
		return pinned == 3
	})
	got := map[string]string{}
	for _, p := range pods.Items {
		i := p.Images[0]
		mirrored := ""
		if i.MirroredAt != nil {
			mirrored = " mirrored"
		}
		got[i.Image] = i.From + " " + i.Project + "/" + i.Repository + "@" + i.Digest + mirrored
	}
	want := map[string]string{
		"one:1":                                  "by-node docker-hub/library/one@" + one.Digest.String() + " mirrored",
		"acme/two:1":                             "by-node docker-hub/acme/two@" + two.Digest.String(),
		"registry.example/docker-hub/acme/two:1": "rewritten docker-hub/acme/two@" + two.Digest.String(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var namespaces api.ClusterNamespaceList
	s.read("/api/v1/kubernetes/namespaces", &namespaces)
	if len(namespaces.Items) != 1 || namespaces.Items[0].Pods != 4 || namespaces.Items[0].ByNode != 2 || namespaces.Items[0].Mirrored != 1 || namespaces.Items[0].Rewritten != 1 {
		t.Errorf("the namespaces are %+v", namespaces.Items)
	}
	if got := strings.Count(s.log.String(), "Larder needs the right to list namespaces"); got != 1 {
		t.Errorf("the log hears %d times that namespaces may not be listed", got)
	}
	metrics := string(s.send(request{path: "/metrics", admin: true}).body)
	for _, want := range []string{`larder_cluster_pods{images="mirrored",namespace=""} 1`, `larder_mirror_manifests_total{project="docker-hub"} 1`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestWhatTheWebhookDidIsToldByNamespace(t *testing.T) {
	s := newRewritingStack(t, hubsim.Options{})
	s.pod("shop", "", "nginx")
	s.pod("shop", "", "quay.io/a/b")
	var got api.ClusterNamespaceList
	s.read("/api/v1/kubernetes/namespaces", &got)
	for _, n := range got.Items {
		if n.Name == "shop" {
			if n.Reviewed == nil || n.Reviewed.Rewritten != 1 || n.Reviewed.Left["not_cached"] != 1 {
				t.Errorf("reviewed were %+v", n.Reviewed)
			}
			return
		}
	}
	t.Errorf("the namespaces are %+v", got.Items)
}

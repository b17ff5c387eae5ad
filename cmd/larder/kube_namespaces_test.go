package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/api"
)

func TestNamespacesAndPodsAreShownInRows(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 30, 0, 0, time.Local)
	at := now.Add(-time.Minute)
	namespaces := namespaceRows([]api.ClusterNamespace{
		{
			Name: "shop", Pods: 5, Rewritten: 2, OptedOut: map[string]int{"label": 1, "annotation": 2}, ByNode: 1, Mirrored: 1, MirroredAt: &at,
			Reviewed: &api.ReviewedPods{Rewritten: 4, Left: map[string]int64{"not_cached": 3}, At: at},
		},
		{Name: "quiet", Pods: 1, Elsewhere: 1},
	}, now)
	want := [][]string{
		{"shop", "5", "2", "0", "3", "annotation=2,label=1", "1", "1", "12:29", "0", "7", "4", "not_cached=3", "12:29"},
		{"quiet", "1", "0", "0", "0", "-", "0", "0", "-", "1", "0", "0", "-", "-"},
	}
	if diff := cmp.Diff(want, namespaces.rows); diff != "" {
		t.Error(diff)
	}
	pods := podRows([]api.ClusterPod{{Namespace: "shop", Name: "web-1", Images: []api.ClusterPodImage{
		{Image: "nginx:1", From: "by-node", Project: "docker-hub", Repository: "library/nginx", Tag: "1", Digest: "sha256:1f", Pinned: true, MirroredAt: &at},
		{Image: "r/demo/app:1", From: "hosted", Project: "demo", Repository: "app", Tag: "1"},
	}}}, now)
	want = [][]string{
		{"web-1", "shop", "docker-hub/library/nginx@sha256:1f", "by-node", "yes", "nginx:1", "12:29"},
		{"web-1", "shop", "demo/app:1", "hosted", "no", "r/demo/app:1", "-"},
	}
	if diff := cmp.Diff(want, pods.rows); diff != "" {
		t.Error(diff)
	}
}

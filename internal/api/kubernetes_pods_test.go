package api

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/rewriting"
)

func nothingReviewed() (map[string]rewriting.Reviewed, rewriting.Reviewed) {
	return nil, rewriting.Reviewed{}
}

func TestNamespacesTellWhatRunsAndWhatWasReviewed(t *testing.T) {
	f := newFixture(t)
	at := f.now.Add(-time.Minute)
	f.config.Seen = Seen{
		Pods: func(context.Context) ([]rewriting.Pod, error) {
			return []rewriting.Pod{
				{Namespace: "shop", Name: "web", Images: []rewriting.PodImage{{From: rewriting.Rewritten}, {From: rewriting.Elsewhere}}},
				{Namespace: "shop", Name: "out", OptedOut: rewriting.ByAnnotation, Images: []rewriting.PodImage{{From: rewriting.OptedOut, MirroredAt: at}}},
			}, nil
		},
		Reviews: func() (map[string]rewriting.Reviewed, rewriting.Reviewed) {
			return map[string]rewriting.Reviewed{"gone": {Outcomes: map[string]int64{"rewritten": 3, "pull_secrets": 1}, At: at}}, rewriting.Reviewed{Outcomes: map[string]int64{"owner": 2}, At: at}
		},
		Since: at,
	}
	f.handler = New(f.config)
	var got ClusterNamespaceList
	f.want(f.do(admin, "GET", "/api/v1/kubernetes/namespaces", ""), 200, &got)
	want := ClusterNamespaceList{
		Looked: true, Since: at,
		Items: []ClusterNamespace{
			{Name: "gone", OptedOut: map[string]int{}, Reviewed: &ReviewedPods{Rewritten: 3, Left: map[string]int64{"pull_secrets": 1}, At: at}},
			{Name: "shop", Pods: 2, Rewritten: 1, Elsewhere: 1, OptedOut: map[string]int{"annotation": 1}, Mirrored: 1, MirroredAt: &at},
		},
		Other: &ReviewedPods{Left: map[string]int64{"owner": 2}, At: at},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	alice := f.alice()
	for _, path := range []string{"namespaces", "pods"} {
		f.wantProblem(f.do(alice, "GET", "/api/v1/kubernetes/"+path, ""), 403, "get upstreams/ledger")
	}
}

func TestPodsAreListedByTheImagesThatTheyRun(t *testing.T) {
	f := newFixture(t)
	var pods []rewriting.Pod
	for n := range 3 {
		pods = append(pods, rewriting.Pod{Namespace: "shop", Name: fmt.Sprintf("web-%d", n), Images: []rewriting.PodImage{
			{RunningImage: kube.RunningImage{Name: "nginx:1", Digest: "sha256:1f"}, From: rewriting.ByNode, Repository: "docker-hub/library/nginx", Tag: "1"},
			{RunningImage: kube.RunningImage{Name: "quay.io/a/b"}, From: rewriting.Elsewhere},
		}})
	}
	pods = append(pods,
		rewriting.Pod{Namespace: "shop", Name: "y", Images: []rewriting.PodImage{{From: rewriting.Elsewhere}}},
		rewriting.Pod{Namespace: "shop-2", Name: "app", Images: []rewriting.PodImage{{RunningImage: kube.RunningImage{Name: "r/demo/app:1"}, From: rewriting.Hosted, Repository: "demo/app", Tag: "1"}}})
	f.config.Seen = Seen{Pods: func(context.Context) ([]rewriting.Pod, error) { return pods, nil }, Reviews: nothingReviewed}
	f.handler = New(f.config)
	listed := func(query string) (names []string, next string) {
		var page ClusterPodList
		f.want(f.do(admin, "GET", "/api/v1/kubernetes/pods?"+query, ""), 200, &page)
		for _, p := range page.Items {
			names = append(names, p.Namespace+"/"+p.Name)
		}
		return names, page.Next
	}
	for query, want := range map[string][]string{
		"":                                    {"shop/web-0", "shop/web-1", "shop/web-2", "shop-2/app"},
		"namespace=shop-2":                    {"shop-2/app"},
		"repository=docker-hub/library/nginx": {"shop/web-0", "shop/web-1", "shop/web-2"},
		"repository=demo/other":               nil,
		"limit=2":                             {"shop/web-0", "shop/web-1"},
		"limit=2&after=shop+web-1":            {"shop/web-2", "shop-2/app"},
	} {
		got, next := listed(query)
		if diff := cmp.Diff(want, got); diff != "" || (next == "shop web-1") != (query == "limit=2") {
			t.Errorf("%q, next %q (-want +got):\n%s", query, next, diff)
		}
	}
	var page ClusterPodList
	f.want(f.do(admin, "GET", "/api/v1/kubernetes/pods?limit=1", ""), 200, &page)
	want := []ClusterPodImage{{Image: "nginx:1", From: "by-node", Project: "docker-hub", Repository: "library/nginx", Tag: "1", Digest: "sha256:1f"}}
	if diff := cmp.Diff(want, page.Items[0].Images); diff != "" {
		t.Error(diff)
	}
}

func TestWhereNothingIsKnownOfTheClusterItIsSaidWhatToDo(t *testing.T) {
	f := newFixture(t)
	f.config.Seen = Seen{Reviews: nothingReviewed}
	f.handler = New(f.config)
	var got ClusterNamespaceList
	f.want(f.do(admin, "GET", "/api/v1/kubernetes/namespaces", ""), 200, &got)
	if got.Looked || len(got.Items) > 0 {
		t.Errorf("told are %+v", got)
	}
	f.wantProblem(f.do(admin, "GET", "/api/v1/kubernetes/pods", ""), 409, "set kubernetes.pinRunning")
	f.config.Seen.Pods = func(context.Context) ([]rewriting.Pod, error) { return nil, errors.New("pods is forbidden") }
	f.handler = New(f.config)
	for _, path := range []string{"namespaces", "pods"} {
		f.wantProblem(f.do(admin, "GET", "/api/v1/kubernetes/"+path, ""), 503, "pods is forbidden")
	}
}

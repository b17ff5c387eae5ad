package admission_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/admission"
)

func TestEachNewPodCountsOnceInItsNamespace(t *testing.T) {
	const (
		nginx     = `{"spec":{"containers":[{"name":"web","image":"nginx"}]}}`
		rewritten = `{"metadata":{"annotations":{"larder.dev/original-images":"{}"}},"spec":{"containers":[{"name":"web","image":"registry.example/docker-hub/library/nginx:latest"}]}}`
		optedOut  = `{"metadata":{"annotations":{"larder.dev/pull-through-cache":"disabled"}},"spec":{"containers":[{"name":"web","image":"nginx"}]}}`
		foreign   = `{"spec":{"containers":[{"name":"web","image":"quay.io/a/b"}]}}`
		debugged  = `{"spec":{"containers":[{"name":"web","image":"nginx"}],"ephemeralContainers":[{"name":"debug","image":"busybox"}]}}`
	)
	c := config()
	c.Metrics = admission.NewMetrics(prometheus.NewRegistry(), nil)
	dry := request{namespace: "shop", pod: nginx}.review()
	yes := true
	dry.Request.DryRun = &yes
	answer(t, c, dry)
	for _, r := range []request{
		{namespace: "shop", pod: nginx},
		{namespace: "shop", pod: nginx},
		{namespace: "shop", pod: rewritten}, // another webhook has changed the pod, and it is reviewed again
		{namespace: "shop", pod: optedOut},
		{namespace: "shop", pod: nginx, before: nginx},
		{namespace: "shop", subresource: "ephemeralcontainers", pod: debugged, before: nginx},
		{namespace: "tools", pod: foreign},
		{namespace: "kube-system", pod: nginx},
	} {
		answer(t, c, r.review())
	}
	by, _ := c.Metrics.Reviews().All()
	got := map[string]map[string]int64{}
	for namespace, of := range by {
		got[namespace] = of.Outcomes
	}
	want := map[string]map[string]int64{
		"shop":        {"rewritten": 2, "annotation": 1},
		"tools":       {"not_cached": 1},
		"kube-system": {"namespace": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

package rewriting_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/rewriting"
)

// clusterOfReasons is the one of running, with pods that opt out in each way.
func clusterOfReasons(t *testing.T) *fake {
	t.Helper()
	f := running(t)
	for path, text := range map[string]string{
		"demo/pods/db":      `{"metadata":{"namespace":"demo","name":"db","ownerReferences":[{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","name":"db","uid":"1"}]},"spec":{"containers":[{"image":"postgres:17"}]}}`,
		"demo/pods/static":  `{"metadata":{"namespace":"demo","name":"static","annotations":{"kubernetes.io/config.mirror":"x"}},"spec":{"containers":[{"image":"nginx:1"}]}}`,
		"demo/pods/secrets": `{"metadata":{"namespace":"demo","name":"secrets"},"spec":{"imagePullSecrets":[{"name":"hub"}],"containers":[{"image":"acme/app:1"}]}}`,
		"demo/pods/ours":    `{"metadata":{"namespace":"demo","name":"ours"},"spec":{"imagePullSecrets":[{"name":"larder-pull"}],"containers":[{"image":"acme/app:1"}]}}`,
		"quiet/pods/quay":   `{"metadata":{"namespace":"quiet","name":"quay"},"spec":{"containers":[{"image":"quay.io/a/b"}]}}`,
	} {
		f.objects["/api/v1/namespaces/"+path] = text
	}
	return f
}

func TestEachNamespaceTellsHowItsPodsGetTheirImagesAndWhy(t *testing.T) {
	i := look(t, clusterOfReasons(t))
	i.OptOut.Owners = []string{"Cluster.postgresql.cnpg.io"}
	pods, err := i.Pods(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	want := []rewriting.Namespace{
		{Name: "demo", Pods: 12, Rewritten: 5, Hosted: 1, ByNode: 2, Elsewhere: 1, OptedOut: map[rewriting.Reason]int{
			rewriting.ByAnnotation: 1, rewriting.ByOwner: 1, rewriting.Static: 1, rewriting.ByPullSecrets: 1,
		}},
		{Name: "kube-system", Pods: 1, OptedOut: map[rewriting.Reason]int{rewriting.ByNamespace: 1}},
		{Name: "larder", Pods: 1, Hosted: 1, OptedOut: map[rewriting.Reason]int{}},
		{Name: "quiet", Pods: 2, Elsewhere: 1, OptedOut: map[rewriting.Reason]int{rewriting.ByLabel: 1}},
	}
	if diff := cmp.Diff(want, rewriting.Namespaces(pods)); diff != "" {
		t.Error(diff)
	}
	if _, err := i.Pods(t.Context(), len(pods)-1); err == nil || !strings.Contains(err.Error(), "more than 15 pods") {
		t.Errorf("of too many pods: %v", err)
	}
}

// noNamespaces may list everything but namespaces.
type noNamespaces struct{ *fake }

func (f noNamespaces) List(ctx context.Context, path string, each func(json.RawMessage) error) error {
	if strings.HasPrefix(path, "/api/v1/namespaces?") {
		return errors.New("namespaces is forbidden")
	}
	return f.fake.List(ctx, path, each)
}

func TestPodsAreToldOfWhereNamespacesMayNotBeRead(t *testing.T) {
	i := look(t, running(t))
	pods, err := rewriting.Of(noNamespaces{running(t)}, i.Rules, i.OptOut).Pods(t.Context(), 100)
	if !errors.Is(err, rewriting.ErrNoLabels) || len(pods) != 11 {
		t.Errorf("%d pods, %v", len(pods), err)
	}
}

func TestReviewsAreMeasuredByNamespaceUpToALimit(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	metrics := prometheus.NewRegistry()
	r := rewriting.NewReviews(metrics, func() time.Time { return at })
	r.Note("other", "rewritten") // a namespace may be called so
	for n := range 10_050 {
		r.Note(fmt.Sprintf("team-%d", n), "rewritten")
	}
	r.Note("team-0", "annotation")
	by, rest := r.All()
	if len(by) != 10_000 || rest.Outcomes["rewritten"] != 51 || by["team-0"].Outcomes["annotation"] != 1 || !by["team-0"].At.Equal(at) {
		t.Errorf("%d namespaces, %v together, team-0 %v", len(by), rest, by["team-0"])
	}
	if count, err := testutil.GatherAndCount(metrics); err != nil || count != 201 { // 199 teams, one of them twice, and the others
		t.Errorf("%d are measured, %v", count, err)
	}
	if got := measured(t, metrics, "other", "rewritten"); got != 10_050-199+1 {
		t.Errorf("the others have %v", got)
	}
}

func TestPodsAreMeasuredByNamespaceUpToALimit(t *testing.T) {
	metrics := prometheus.NewRegistry()
	g := rewriting.NewGauges(metrics)
	pods := []rewriting.Pod{{Namespace: "other", Images: []rewriting.PodImage{{From: rewriting.ByNode, MirroredAt: time.Now()}}}}
	for n := range 300 {
		p := rewriting.Pod{Namespace: fmt.Sprintf("team-%d", n), Images: []rewriting.PodImage{{From: rewriting.Rewritten}}}
		pods = append(pods, p, p)
	}
	g.Set(pods)
	for want, labels := range map[float64][2]string{2: {"team-0", "rewritten"}, 200: {"other", "rewritten"}, 1: {"other", "mirrored"}} {
		if got := measured(t, metrics, labels[0], labels[1]); got != want {
			t.Errorf("%v: %v, want %v", labels, got, want)
		}
	}
	g.Set(nil)
	if count, err := testutil.GatherAndCount(metrics); err != nil || count != 0 {
		t.Errorf("%d are measured when nothing runs, %v", count, err)
	}
}

// measured is the value of a metric with two labels.
func measured(t *testing.T, from prometheus.Gatherer, namespace, second string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := map[string]bool{}
			for _, l := range m.GetLabel() {
				labels[l.GetValue()] = true
			}
			if labels[namespace] && labels[second] {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestWhatNodesPullIsRememberedByTagAndDigest(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	metrics := prometheus.NewRegistry()
	p, err := rewriting.NewNodePulls(metrics, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	const nginx, digest = oci.Repository("docker-hub/library/nginx"), "sha256:1f"
	p.Note(nginx, oci.Reference{Tag: "1"}, digest)
	now = now.Add(time.Minute)
	p.Note(nginx, oci.Reference{Digest: digest}, digest)
	for what, tt := range map[string]struct {
		repo oci.Repository
		of   oci.Reference
		want time.Time
	}{
		"by its tag":            {nginx, oci.Reference{Tag: "1"}, now.Add(-time.Minute)},
		"by what runs":          {nginx, oci.Reference{Tag: "1", Digest: digest}, now},
		"an older one":          {nginx, oci.Reference{Tag: "1", Digest: "sha256:2e"}, time.Time{}},
		"in another repository": {"docker-hub/library/redis", oci.Reference{Tag: "1"}, time.Time{}},
	} {
		if got := p.Last(tt.repo, tt.of); !got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(
		"# HELP larder_mirror_manifests_total Manifests that mirrors of nodes and of Docker asked for and got, by cache project.\n"+
			"# TYPE larder_mirror_manifests_total counter\nlarder_mirror_manifests_total{project=\"docker-hub\"} 2\n")); err != nil {
		t.Error(err)
	}
}

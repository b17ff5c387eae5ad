package rewriting_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/rewriting"
)

const (
	admission = "/apis/admissionregistration.k8s.io/v1/"
	rules     = `{larder.dev/rules: '{"host":"registry.example.com","caches":{"docker.io":"docker-hub"},"optOut":{"namespaces":["kube-*"]}}'}`
	ours      = "{app.kubernetes.io/part-of: larder, app.kubernetes.io/component: rewriting}"
)

// installed is what larder kube policy and larder kube webhook print, as far as it counts,
// and one webhook of somebody else.
func installed() map[string]string {
	return map[string]string{
		admission + "mutatingwebhookconfigurations/larder": `{metadata: {name: larder, labels: ` + ours + `, annotations: ` + rules + `}, webhooks: [
			{name: images.larder.dev, namespaceSelector: {matchExpressions: [{key: a, operator: Exists}]}}, {name: more.example.com}]}`,
		admission + "mutatingwebhookconfigurations/other":       `{metadata: {name: other}, webhooks: [{name: other.example.com}]}`,
		admission + "mutatingadmissionpolicies/larder":          `{metadata: {name: larder, labels: ` + ours + `, annotations: ` + rules + `}}`,
		admission + "mutatingadmissionpolicybindings/larder":    `{metadata: {name: larder, labels: ` + ours + `}, spec: {policyName: larder, paramRef: {name: larder-rewriting, namespace: larder}}}`,
		"/api/v1/namespaces/larder/configmaps/larder-rewriting": `{metadata: {name: larder-rewriting, namespace: larder, labels: ` + ours + `}, data: {enabled: "true"}}`,
	}
}

func look(t *testing.T, f *fake) rewriting.Installation {
	t.Helper()
	i, err := rewriting.Look(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestRewritingIsTurnedOffAndOnWithoutLarder(t *testing.T) {
	f := newFake(t, installed())
	was := maps.Clone(f.objects)
	i := look(t, f)
	if i.Rules.Host != "registry.example.com" || i.Rules.Caches["docker.io"] != "docker-hub" || !i.OptOut.Namespace("kube-system") {
		t.Errorf("the rules are %+v, %+v", i.Rules, i.OptOut)
	}
	for _, step := range []struct {
		on   bool
		want string
	}{{false, "on off"}, {false, "off off"}, {true, "off on"}, {true, "on on"}} {
		turned, err := i.Turn(t.Context(), step.on)
		if err != nil || len(turned) != 2 {
			t.Fatalf("turned %v, %v", turned, err)
		}
		for _, part := range turned {
			if got := part.Was + " " + part.Is; got != step.want {
				t.Errorf("%s was and is %s, want %s", part.What, got, step.want)
			}
		}
		webhook := f.objects[admission+"mutatingwebhookconfigurations/larder"]
		if off := strings.Contains(webhook, "DoesNotExist"); off == step.on || strings.Count(webhook, "DoesNotExist") > 1 || !strings.Contains(webhook, "more.example.com") {
			t.Errorf("the webhook's configuration is %s", webhook)
		}
	}
	if f.objects[admission+"mutatingwebhookconfigurations/other"] != was[admission+"mutatingwebhookconfigurations/other"] {
		t.Error("another webhook was changed")
	}
}

func TestAPolicyWhoseConfigMapIsGoneIsTurnedOffAllTheSame(t *testing.T) {
	const path = "/api/v1/namespaces/larder/configmaps/larder-rewriting"
	f := newFake(t, installed())
	delete(f.objects, path)
	if _, err := look(t, f).Turn(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(f.objects[path], `"enabled":"false"`) {
		t.Errorf("the ConfigMap is %s", f.objects[path])
	}
}

func pod(namespace, name, more string, images ...string) (path, text string) {
	containers := "[]"
	if len(images) > 0 {
		containers = "[{name: a, image: '" + strings.Join(images, "'}, {name: b, image: '") + "'}]"
	}
	return "/api/v1/namespaces/" + namespace + "/pods/" + name,
		"{metadata: {namespace: " + namespace + ", name: " + name + more + "}, spec: {containers: " + containers + "}}"
}

func madeBy(version, kind, name string) string {
	return ", ownerReferences: [{controller: true, apiVersion: " + version + ", kind: " + kind + ", name: " + name + "}]"
}

// running is a cluster with pods of each kind.
func running(t *testing.T) *fake {
	t.Helper()
	objects := installed()
	add := func(path, text string) { objects[path] = text }
	const nginx = "registry.example.com/docker-hub/library/nginx:latest"
	add(pod("demo", "web-1-a", madeBy("apps/v1", "ReplicaSet", "web-1"), nginx, "quay.io/a/b"))
	add(pod("demo", "web-1-b", madeBy("apps/v1", "ReplicaSet", "web-1"), nginx))
	objects["/apis/apps/v1/namespaces/demo/replicasets/web-1"] = "{metadata: {namespace: demo, name: web-1" + madeBy("apps/v1", "Deployment", "web") + "}}"
	add(pod("demo", "db-0", madeBy("apps/v1", "StatefulSet", "db")+", annotations: {larder.dev/original-images: '{}'}", "registry.example.com/docker-hub/library/postgres:17"))
	add(pod("demo", "alone", "", nginx))
	add(pod("demo", "own", "", "registry.example.com/demo/app:1"))
	add(pod("demo", "gone", madeBy("apps/v1", "ReplicaSet", "old"), nginx))
	add(pod("demo", "out", ", annotations: {larder.dev/pull-through-cache: disabled}", "nginx:1"))
	add(pod("quiet", "out", "", "nginx:1"))
	add(pod("kube-system", "out", "", "nginx:1"))
	add(pod("demo", "mirrored", "", "nginx:1"))
	add(pod("larder", "watcher", ", labels: {app.kubernetes.io/part-of: larder}", "registry.example.com/larder/larder:latest"))
	objects["/api/v1/namespaces/quiet"] = "{metadata: {name: quiet, labels: {larder.dev/pull-through-cache: disabled}}}"
	return newFake(t, objects)
}

func TestWorkloadsToRestartAreThoseWithRewrittenImages(t *testing.T) {
	i := look(t, running(t))
	workloads, err := i.Workloads(t.Context(), i.Rewritten)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range workloads {
		got = append(got, w.Restart())
	}
	want := []string{
		"kubectl rollout restart deployment/web -n demo",
		"# pod/alone in namespace demo was made by nothing: delete it and make it anew",
		"# replicaset/old.apps in namespace demo: delete its pods, and its controller makes others",
		"kubectl rollout restart statefulset/db -n demo",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if workloads[0].Pods != 2 {
		t.Errorf("the deployment has %d pods", workloads[0].Pods)
	}
	using, err := i.Workloads(t.Context(), i.UsesHost)
	if err != nil || len(using) != len(want)+1 { // and the one whose image is hosted, but not Larder's own helper
		t.Errorf("%v use images of the registry, %v", using, err)
	}
}

func TestEachKindOfWorkloadSaysHowItIsRestarted(t *testing.T) {
	for _, tt := range []struct{ group, kind, want string }{
		{"apps", "DaemonSet", "kubectl rollout restart daemonset/x -n demo"},
		{"argoproj.io", "Rollout", "kubectl argo rollouts restart x -n demo"},
		{"batch", "Job", "# job/x in namespace demo runs to its end with the images that it has"},
		{"batch", "CronJob", "# cronjob/x in namespace demo has new pods at its next run"},
		{"example.com", "Thing", "# thing/x.example.com in namespace demo: delete its pods, and its controller makes others"},
	} {
		if got := (rewriting.Workload{Kind: tt.kind, Group: tt.group, Namespace: "demo", Name: "x"}).Restart(); got != tt.want {
			t.Errorf("%s: %s", tt.kind, got)
		}
	}
}

func TestImagesAreListedByWhereTheyComeFrom(t *testing.T) {
	used, err := look(t, running(t)).Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []rewriting.Used{
		{From: rewriting.Rewritten, Image: "registry.example.com/docker-hub/library/nginx:latest", Pods: 4, Namespaces: []string{"demo"}},
		{From: rewriting.Rewritten, Image: "registry.example.com/docker-hub/library/postgres:17", Pods: 1, Namespaces: []string{"demo"}},
		{From: rewriting.Hosted, Image: "registry.example.com/demo/app:1", Pods: 1, Namespaces: []string{"demo"}},
		{From: rewriting.Hosted, Image: "registry.example.com/larder/larder:latest", Pods: 1, Namespaces: []string{"larder"}},
		{From: rewriting.OptedOut, Image: "nginx:1", Pods: 3, Namespaces: []string{"demo", "kube-system", "quiet"}},
		{From: rewriting.ByNode, Image: "nginx:1", Pods: 1, Namespaces: []string{"demo"}},
		{From: rewriting.Elsewhere, Image: "quay.io/a/b", Pods: 1, Namespaces: []string{"demo"}},
	}
	if diff := cmp.Diff(want, used); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasInstalledIsRemovedFirstWhatChangesPods(t *testing.T) {
	f := newFake(t, installed())
	f.objects["/apis/apps/v1/namespaces/larder/deployments/larder-watcher"] = `{"metadata":{"name":"larder-watcher","namespace":"larder","labels":{"app.kubernetes.io/part-of":"larder","app.kubernetes.io/component":"rewriting"}}}`
	f.objects["/apis/apps/v1/namespaces/larder/deployments/larder"] = `{"metadata":{"name":"larder","namespace":"larder","labels":{"app.kubernetes.io/part-of":"larder"}}}`
	f.objects["/api/v1/namespaces/larder/serviceaccounts/chart"] = `{"metadata":{"name":"chart","namespace":"larder","labels":{"app.kubernetes.io/part-of":"larder","app.kubernetes.io/component":"rewriting",
		"app.kubernetes.io/managed-by":"Helm"},"annotations":{"meta.helm.sh/release-name":"ours"}}}`
	const labels = `"labels":{"app.kubernetes.io/part-of":"larder","app.kubernetes.io/component":"rewriting"}`
	f.objects["/api/v1/namespaces/larder/secrets/larder-webhook"] = `{"metadata":{"name":"larder-webhook","namespace":"larder",` + labels + `}}`
	f.objects["/api/v1/namespaces/larder/secrets/larder-admin"] = `{"metadata":{"name":"larder-admin","namespace":"larder"}}`
	f.objects["/apis/rbac.authorization.k8s.io/v1/namespaces/larder/rolebindings/larder-webhook"] = `{"metadata":{"name":"larder-webhook","namespace":"larder",` + labels + `}}`
	f.objects["/apis/cert-manager.io/v1/namespaces/larder/certificates/larder-webhook"] = `{"metadata":{"name":"larder-webhook","namespace":"larder",` + labels + `}}`
	i := look(t, f)
	objects, err := i.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if o.Release != "" {
			continue
		}
		if err := i.Remove(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := i.Remove(t.Context(), o); err != nil {
			t.Errorf("removed twice: %v", err)
		}
	}
	want := []string{
		admission + "mutatingwebhookconfigurations/larder", admission + "mutatingadmissionpolicybindings/larder", admission + "mutatingadmissionpolicies/larder",
		"/apis/apps/v1/namespaces/larder/deployments/larder-watcher", "/api/v1/namespaces/larder/configmaps/larder-rewriting",
		"/apis/rbac.authorization.k8s.io/v1/namespaces/larder/rolebindings/larder-webhook",
		"/apis/cert-manager.io/v1/namespaces/larder/certificates/larder-webhook", "/api/v1/namespaces/larder/secrets/larder-webhook",
	}
	if diff := cmp.Diff(want, f.deleted); diff != "" {
		t.Error(diff)
	}
	left := slices.Sorted(maps.Keys(f.objects))
	if len(left) != 4 {
		t.Errorf("there is left %v", left)
	}
}

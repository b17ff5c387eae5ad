package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/testkit"
)

// runs makes a pod that runs an image, as its node would say it.
func (c *cluster) runs(name, image, digest string) {
	c.t.Helper()
	c.kubectl.run("run", name, "--namespace", "demo", "--image", image, "--restart=Never")
	status := fmt.Sprintf(`{"status":{"phase":"Running","containerStatuses":[{"name":%q,"image":%q,"imageID":%q,"ready":true,"restartCount":0,"state":{"running":{}}}]}}`,
		name, image, "docker.io/x/y@"+digest)
	c.kubectl.run("patch", "pod", name, "--namespace", "demo", "--subresource=status", "--patch="+status)
}

// pinned is until when images are kept that run, by their names.
func (s *stack) pinned() map[string]time.Time {
	s.t.Helper()
	var list struct {
		Items []struct {
			Project, Repository, Digest, Reason string
			Until                               time.Time
		}
	}
	if err := json.Unmarshal([]byte(s.larder.run("get", "pins", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]time.Time{}
	for _, p := range list.Items {
		all[p.Project+"/"+p.Repository+"@"+p.Digest] = p.Until
	}
	return all
}

func TestWhatRunsInAClusterIsFetchedAndKeptAsLongAsItsPodsAreThere(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "serviceaccount-controller")
	c.namespaces("demo")
	listen := testkit.NewAddress(t)
	s := newStack(t, hubsim.Options{}, "listen: "+listen, "publicURL: https://"+rewrittenHost, "kubernetes: {pinRunning: 1h, kubeconfig: "+c.larderConfig()+"}")
	s.larder.runWith(adminPassword, "login", "http://"+listen, "-u", "admin", "--password-stdin")
	s.larder.run("new-project", "acme") // in a pod acme/app stays Docker Hub's
	digests := map[string]string{}
	for _, name := range []string{"library/nginx", "acme/app", "acme/api"} {
		digests[name] = s.hub.AddImage(name, "1", multiPlatform(hubsim.OCI)).Digest.String()
	}
	c.runs("web", "nginx:1", digests["library/nginx"])
	c.runs("app", "acme/app:1", digests["acme/app"])
	c.runs("api", cached+"acme/api:1", digests["acme/api"])

	of := "--kubeconfig=" + c.Admin
	missing := s.larder.fails("drill", "--from-cluster", of)
	for _, name := range []string{"docker-hub/library/nginx:1", "docker-hub/acme/app:1", "docker-hub/acme/api:1"} {
		wants(t, missing, name)
	}
	s.larder.run("warm", "--from-cluster", of)
	s.larder.run("drill", "--from-cluster", of)

	s.killAndStartAgain() // which looks at once what runs
	image := func(name string) string { return "docker-hub/" + name + "@" + digests[name] }
	s.await(func() bool { return len(s.pinned()) == 3 })
	before := s.pinned()
	for _, name := range []string{"library/nginx", "acme/app", "acme/api"} {
		if before[image(name)].IsZero() {
			t.Errorf("%s is not pinned: %v", name, before)
		}
	}
	wants(t, s.larder.run("kube", "pods", "docker-hub/nginx"), "web   demo        "+image("library/nginx")+"   by-node   yes")
	wants(t, s.larder.run("kube", "namespaces"), "demo        3      1           0        0           -     2")

	c.do("kubectl label namespace demo larder.dev/pull-through-cache=disabled", "kubectl delete pod web --namespace demo --force")
	s.killAndStartAgain()
	s.await(func() bool { return s.pinned()[image("acme/app")].After(before[image("acme/app")]) })
	after := s.pinned()
	if until := after[image("library/nginx")]; !until.Equal(before[image("library/nginx")]) {
		t.Errorf("nobody runs nginx any more, and it is kept until %s, and was until %s", until, before[image("library/nginx")])
	}
	rows := slices.Sorted(strings.Lines(s.larder.run("kube", "pods", "-o", "name")))
	if diff := cmp.Diff([]string{"pod/api\n", "pod/app\n"}, rows); diff != "" {
		t.Error(diff)
	}
	wants(t, s.larder.run("kube", "namespaces"), "demo        2      1           0        1           label=1   0")
}

package e2e_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheClusterTakesEveryFileThatIsShippedForIt(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "clusterrole-aggregation-controller")
	files, err := os.ReadDir(shipped)
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no files: %v", err)
	}
	for _, file := range files {
		path := shippedFile(t, file.Name())
		// newCluster has applied it: nothing is to be changed, of what the server made of it.
		// The others are for those who want what they are for.
		outcome := "created"
		if slices.Contains([]string{"rbac.yaml", "imagestreams-crd.yaml", "clusterroles.yaml"}, file.Name()) {
			outcome = "unchanged"
		}
		for line := range strings.Lines(c.kubectl.run("apply", "--filename", path, "--dry-run=server", "--validate=strict")) {
			if !strings.HasSuffix(line, " "+outcome+" (server dry run)\n") {
				t.Errorf("%s: %s", file.Name(), line)
			}
		}
	}

	t.Run("and Larder may ask, see which images run, and nothing else", func(t *testing.T) {
		const larder = "--as=system:serviceaccount:larder:larder"
		for _, resource := range []string{"tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io"} {
			c.kubectl.run("auth", "can-i", "create", resource, larder)
		}
		mine := c.kubectl.run("auth", "can-i", "--list", "--no-headers", larder)
		anybodys := c.kubectl.run("auth", "can-i", "--list", "--no-headers", "--as=system:serviceaccount:larder:nobody")
		var more []string
		for line := range strings.Lines(mine) {
			if !strings.Contains(anybodys, line) {
				more = append(more, strings.Join(strings.Fields(line), " "))
			}
		}
		slices.Sort(more)
		want := []string{
			"namespaces [] [] [list]",
			"pods [] [] [list]",
			"subjectaccessreviews.authorization.k8s.io [] [] [create]",
			"tokenreviews.authentication.k8s.io [] [] [create]",
		}
		if diff := cmp.Diff(want, more); diff != "" {
			t.Errorf("what Larder may, and not anybody (-want +got):\n%s", diff)
		}
	})
	t.Run("and the roles of a namespace hold those for images", func(t *testing.T) {
		s := c.newStack()
		newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/app:1")
		c.do("kubectl create namespace demo",
			"kubectl create rolebinding readers -n demo --clusterrole=view --serviceaccount=demo:reader",
			"kubectl create rolebinding writers -n demo --clusterrole=edit --serviceaccount=demo:writer",
			"kubectl create rolebinding owners -n demo --clusterrole=admin --serviceaccount=demo:owner")
		reader, writer, owner := c.account("demo", "reader"), c.account("demo", "writer"), c.account("demo", "owner")
		s.pullable("demo/app:1", reader)
		if got := s.pushStatus("demo/app", reader); got != http.StatusForbidden {
			t.Errorf("a push of who may view gets %d", got)
		}
		s.pushable("demo/app", writer)
		s.pushable("demo/app", owner)
		// Who owns the namespace shares it without help: kubectl and the cluster let them.
		kubeconfig, err := c.Kubeconfig("owner", owner)
		if err != nil {
			t.Fatal(err)
		}
		kubectl := c.as(kubeconfig)
		kubectl.run("create", "role", "one", "-n", "demo", "--verb=get", "--resource=imagestreams.image.openshift.io/layers", "--resource-name=app")
		kubectl.run("create", "rolebinding", "one", "-n", "demo", "--role=one", "--user=system:anonymous")
		s.pullable("demo/app:1", "")
	})
	t.Run("and kubectl answers what Larder asks", func(t *testing.T) {
		c.do("kubectl create namespace asked",
			"kubectl create role centos -n asked --verb=get --resource=imagestreams.image.openshift.io/layers --resource-name=centos",
			"kubectl create rolebinding centos -n asked --role=centos --serviceaccount=other:app")
		for image, want := range map[string]int{"centos": 0, "other": 1} {
			got := c.kubectl.try("", "auth", "can-i", "get", "imagestreams.image.openshift.io/"+image, "--subresource=layers", "-n", "asked",
				"--as=system:serviceaccount:other:app")
			if got.code != want {
				t.Errorf("%s: exit status %d\n%s", image, got.code, got.both())
			}
		}
	})
}

package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who pulls in these tests.
const (
	strangers = "strangers"
	ofDemo    = "a service account of demo"
	ofOther   = "a service account of other"
	ofThird   = "a service account of third"
)

// Each opening is one that the documentation shows, in a namespace of its own in place of
// demo, so that all can be tried at once: what opens, and what closes it again.
func TestRolesOnTheClusterOpenAProjectToThoseWhomTheyName(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace other", "kubectl create namespace third")
	others := map[string]string{ofOther: c.account("other", "app"), ofThird: c.account("third", "app")}
	s := c.newStack()
	source := "oci:" + newImageFolder(t)

	const bind = "kubectl create rolebinding open -n demo "
	all := []string{"centos", "other"}
	tests := []struct {
		name  string
		open  []string
		close []string
		may   map[string][]string
	}{
		{
			"to everybody, as a user", []string{bind + "--clusterrole=system:image-puller --user=system:anonymous"}, nil,
			map[string][]string{strangers: all, ofDemo: all, ofOther: all, ofThird: all},
		},
		{
			"to everybody, as a group", []string{bind + "--clusterrole=system:image-puller --group=system:unauthenticated"}, nil,
			map[string][]string{strangers: all, ofDemo: all, ofOther: all, ofThird: all},
		},
		{
			"to all who are logged in", []string{bind + "--clusterrole=system:image-puller --group=system:authenticated"}, nil,
			map[string][]string{ofDemo: all, ofOther: all, ofThird: all},
		},
		{
			"to everybody, one image",
			[]string{
				"kubectl create role my-image-puller -n demo --verb=get --resource=imagestreams.image.openshift.io/layers --resource-name=centos",
				bind + "--role=my-image-puller --user=system:anonymous",
			},
			[]string{"kubectl delete role my-image-puller -n demo"},
			map[string][]string{strangers: {"centos"}, ofDemo: {"centos"}, ofOther: {"centos"}, ofThird: {"centos"}},
		},
		{
			"to another project", []string{bind + "--clusterrole=system:image-puller --group=system:serviceaccounts:other"}, nil,
			map[string][]string{ofOther: all},
		},
		{
			"to its own service accounts", []string{bind + "--clusterrole=system:image-puller --group=system:serviceaccounts:demo"}, nil,
			map[string][]string{ofDemo: all},
		},
		{
			"to one service account", []string{bind + "--clusterrole=registry-viewer --serviceaccount=third:app"}, nil,
			map[string][]string{ofThird: all},
		},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, s, demo := c.in(t), s.in(t), fmt.Sprintf("demo-%d", i)
			own := func(lines []string) []string {
				return strings.Split(strings.ReplaceAll(strings.Join(lines, "\n"), "demo", demo), "\n")
			}
			c.do("kubectl create namespace " + demo)
			admin := newSkopeo(t)
			for _, image := range all {
				admin.push(source, s.main+"/"+demo+"/"+image+":1")
			}
			tokens := map[string]string{strangers: "", ofDemo: c.account(demo, "app")}
			maps.Copy(tokens, others)
			closed := map[string][]string{}
			if diff := cmp.Diff(closed, s.pulls(demo, tokens, all)); diff != "" {
				t.Errorf("before, who pulls (-want +got):\n%s", diff)
			}
			c.do(own(tt.open)...)
			s.awaitPulls(demo, tokens, all, tt.may)
			for _, token := range tokens {
				if got := s.pushStatus(demo+"/centos", token); got != http.StatusForbidden && got != http.StatusUnauthorized {
					t.Errorf("a push is answered with %d", got)
				}
			}
			c.do(own(append([]string{"kubectl delete rolebinding open -n demo"}, tt.close...))...)
			s.awaitPulls(demo, tokens, all, closed)
		})
	}
}

// pulls tells who may pull which images of a project, and who is refused in another way than
// by not being told of them, as may be while rights change.
func (s *stack) pulls(project string, tokens map[string]string, images []string) map[string][]string {
	s.t.Helper()
	all := map[string][]string{}
	for who, token := range tokens {
		for _, image := range images {
			switch got := s.pullStatus(project+"/"+image+":1", token); {
			case got == http.StatusOK:
				all[who] = append(all[who], image)
			case token == "" && got != http.StatusUnauthorized, token != "" && got != http.StatusNotFound:
				all[who] = append(all[who], fmt.Sprintf("%s, refused with %d", image, got))
			}
		}
	}
	return all
}

// awaitPulls waits until it is those who may pull.
func (s *stack) awaitPulls(project string, tokens map[string]string, images []string, want map[string][]string) {
	s.t.Helper()
	var got map[string][]string
	s.await(func() bool {
		got = s.pulls(project, tokens, images)
		return cmp.Equal(want, got)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("%s later, who pulls (-want +got):\n%s", takesEffect, diff)
	}
}

func TestClientsPullByWhatTheClusterGrants(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo", "kubectl create namespace other")
	node := c.account("other", "node")
	s := c.newStack()
	newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/centos:7")
	image := s.main + "/demo/centos:7"
	docker, podman := s.newDocker(t), newPodman(t, insecure(s.main))

	wants(t, docker.fails("pull", image), "log in to this registry to pull demo/centos")
	c.do(
		"kubectl create role my-image-puller -n demo --verb=get --resource=imagestreams.image.openshift.io/layers --resource-name=centos",
		"kubectl create rolebinding my-image-puller -n demo --role=my-image-puller --user=system:anonymous",
	)
	s.pullable("demo/centos:7", "")
	docker.run("pull", image)
	docker.run("image", "rm", image)
	podman.run("pull", image)

	c.do("kubectl delete rolebinding my-image-puller -n demo", "kubectl delete role my-image-puller -n demo")
	s.becomes(http.StatusUnauthorized, func() int { return s.pullStatus("demo/centos:7", "") })
	docker.fails("pull", image)

	s.loginTo(docker, node)
	s.loginTo(podman, node)
	wants(t, docker.fails("pull", image), "repository demo/centos does not exist or you may not pull it")
	c.do("kubectl create rolebinding open -n demo --clusterrole=system:image-puller --group=system:serviceaccounts:other")
	s.pullable("demo/centos:7", node)
	docker.run("pull", image)
	podman.run("pull", image)
}

package e2e_test

import (
	"strings"
	"testing"
)

func TestWhereAClusterDecidesLarderSaysSo(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo")
	ci := c.account("demo", "ci")
	s := c.newStack()
	s.hub.AddImage("library/nginx", "latest", hubImage(1))
	newSkopeo(t).push("oci:"+newImageFolder(t), s.main+"/demo/centos:7")
	docker := s.newDocker(t)
	docker.run("pull", "nginx")
	docker.run("tag", "nginx", s.main+"/demo/centos:8")

	t.Run("docker", func(t *testing.T) {
		wants(t, docker.fails("push", s.main+"/demo/centos:8"), "denied: log in to this registry to push demo/centos")
		s.loginTo(docker, ci)
		const line = "its owner can run kubectl create rolebinding demo-ci-image-builder -n demo --clusterrole=system:image-builder --serviceaccount=demo:ci"
		wants(t, docker.fails("push", s.main+"/demo/centos:8"), "denied: project demo does not exist or you may not push to it; "+line)
		c.do("kubectl create rolebinding viewers -n demo --clusterrole=registry-viewer --serviceaccount=demo:ci")
		s.pullable("demo/centos:7", ci)
		wants(t, docker.fails("push", s.main+"/demo/centos:8"),
			"denied: you may not push demo/centos: that takes the right to update imagestreams/layers in project demo; "+line)
	})

	larder := s.larder
	larder.runWith(adminPassword, "login", "http://"+s.main, "-u", "admin", "--password-stdin")
	const have = "a cluster decides here who may do what, and roles and bindings that are kept here have no say: "
	const as = "system:serviceaccount:demo:ci"
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{
			"a role given", []string{"policy", "add-role-to-user", "registry-viewer", "alice", "-n", "demo"},
			[]string{have + "run kubectl create rolebinding alice-registry-viewer -n demo --clusterrole=registry-viewer --user=alice"},
		},
		{
			"a role given to strangers, as a user", []string{"policy", "add-role-to-user", "system:image-puller", "system:unauthenticated", "-n", "demo"},
			[]string{have + "run kubectl create rolebinding unauthenticated-image-puller -n demo --clusterrole=system:image-puller --group=system:unauthenticated"},
		},
		{
			"a role taken", []string{"policy", "remove-role-from-user", "registry-viewer", "alice", "-n", "demo"},
			[]string{have + "run kubectl delete on the binding; kubectl get rolebindings -o wide -n demo lists who has which role"},
		},
		{
			"who can", []string{"policy", "who-can", "get", "imagestreams/layers", "-n", "demo"},
			[]string{have + "kubectl get rolebindings -o wide -n demo lists who has which role, and larder auth can-i --as asks for one user"},
		},
		{
			"exposure", []string{"policy", "exposure"},
			[]string{have + "larder auth can-i get imagestreams/layers --as system:anonymous -n PROJECT asks for one project"},
		},
		{
			"a role", []string{"create", "role", "mine", "--verb=get", "--resource=imagestreams/layers", "-n", "demo"},
			[]string{have + "run the same command with kubectl or oc in place of larder"},
		},
		{"bindings", []string{"get", "rolebindings", "-n", "demo"}, []string{have + "run the same command with kubectl or oc in place of larder"}},
		{
			"may not", []string{"auth", "can-i", "update", "imagestreams/layers", "-n", "demo", "--as", as}, []string{"no"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			printed := larder.fails(tt.args...)
			for _, sentence := range tt.want {
				wants(t, printed, sentence)
			}
		})
	}
	t.Run("why", func(t *testing.T) {
		wants(t, larder.run("auth", "explain", "demo/centos", "--as", as), "yes\nthe cluster lets "+as+" get imagestreams/layers on repository demo/centos; "+
			"its roles and bindings for namespace demo decide, and those that are kept here have no say\n")
		printed := larder.run("auth", "explain", "demo/centos", "--as", as, "--verb", "update")
		wants(t, printed, "no\nthe cluster does not let "+as+" update imagestreams/layers on repository demo/centos; ")
		wants(t, printed, "its owner can run kubectl create rolebinding demo-ci-image-builder -n demo --clusterrole=system:image-builder --serviceaccount=demo:ci")
		if yes := larder.run("auth", "can-i", "get", "imagestreams/layers", "centos", "-n", "demo", "--as", as); yes != "yes\n" {
			t.Errorf("can-i printed %q", yes)
		}
	})
	t.Run("what is told of a project", func(t *testing.T) {
		wants(t, larder.run("get", "projects", "demo"), "private")
		c.do("kubectl create rolebinding open -n demo --clusterrole=system:image-puller --group=system:authenticated")
		s.visible("logged in")
		c.do("kubectl delete rolebinding open -n demo", "kubectl create rolebinding open -n demo --clusterrole=system:image-puller --user=system:anonymous")
		s.visible("public")
	})
	t.Run("a project is made by who may make repositories in its namespace", func(t *testing.T) {
		c.do("kubectl create namespace fresh")
		larder.run("login", "http://"+s.main, "--token", ci)
		wants(t, larder.fails("new-project", "fresh"), as+" has no right to create projectrequests in project fresh; an administrator can run "+
			"kubectl create rolebinding demo-ci-image-builder -n fresh --clusterrole=system:image-builder --serviceaccount=demo:ci")
		c.do("kubectl create rolebinding demo-ci-image-builder -n fresh --clusterrole=system:image-builder --serviceaccount=demo:ci")
		s.await(func() bool { return larder.try("", "new-project", "fresh").code == 0 })
		wants(t, larder.fails("new-project", "fresh"), "there is one of that name already")
	})
}

// visible waits until Larder tells so of the project demo.
func (s *stack) visible(how string) {
	s.t.Helper()
	want, printed := `"visibility": "`+how+`"`, ""
	s.await(func() bool {
		printed = s.larder.run("get", "projects", "demo", "-o", "json")
		return strings.Contains(printed, want)
	})
	wants(s.t, printed, want)
}

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/testkit/kubeserver"
)

// What the documentation says that a request costs. Each case is in a namespace of its
// own, so that nothing is known of it before.
func TestWhatARequestAsksTheCluster(t *testing.T) {
	c := newCluster(t)
	c.do("kubectl create namespace ci")
	c.account("ci", "app")
	s := c.newStack()
	admin, docker := newSkopeo(t), s.newDocker(t)
	source := "oci:" + newImageFolder(t)
	const byAll, bySome = "--clusterrole=system:image-puller", "--role=some"
	status := func(want int, ask func(token, namespace string) int) func(token, namespace string) {
		return func(token, namespace string) {
			if got := ask(token, namespace); got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		}
	}
	pull := func(token, namespace string) int { return s.pullStatus(namespace+"/app:1", token) }
	push := func(token, namespace string) int { return s.pushStatus(namespace+"/app", token) }
	strangersPull := func(_, namespace string) int { return s.pullStatus(namespace+"/app:1", "") }
	strangersPush := func(_, namespace string) int { return s.pushStatus(namespace+"/app", "") }
	tests := []struct {
		name string
		bind string
		do   func(token, namespace string)
		want kubeserver.Reviews
	}{
		{"a stranger pulls what is open as a whole", byAll + " --user=system:anonymous", status(200, strangersPull), kubeserver.Reviews{Accesses: 1}},
		{"a stranger pulls what is open by itself", bySome + " --user=system:anonymous", status(200, strangersPull), kubeserver.Reviews{Accesses: 2}},
		{"a stranger is refused a pull", byAll + " --user=nobody", status(401, strangersPull), kubeserver.Reviews{Accesses: 2}},
		{"a stranger is refused a push", byAll + " --user=nobody", status(401, strangersPush), kubeserver.Reviews{Accesses: 2}},
		{"an account pulls from where it may", byAll + " --serviceaccount=ci:app", status(200, pull), kubeserver.Reviews{Tokens: 1, Accesses: 1}},
		{"an account pulls the one image that it may", bySome + " --serviceaccount=ci:app", status(200, pull), kubeserver.Reviews{Tokens: 1, Accesses: 2}},
		{"an account pulls what is open as a whole", byAll + " --user=system:anonymous", status(200, pull), kubeserver.Reviews{Tokens: 1, Accesses: 3}},
		{"an account pushes", "--clusterrole=system:image-builder --serviceaccount=ci:app", status(202, push), kubeserver.Reviews{Tokens: 1, Accesses: 2}},
		{"an account is refused a pull", byAll + " --user=nobody", status(404, pull), kubeserver.Reviews{Tokens: 1, Accesses: 10}},
		{"an account is refused a push", byAll + " --user=nobody", status(403, push), kubeserver.Reviews{Tokens: 1, Accesses: 16}},
		{"docker logs in and pulls", byAll + " --serviceaccount=ci:app", func(token, namespace string) {
			s.loginTo(docker, token)
			docker.run("pull", s.main+"/"+namespace+"/app:1")
		}, kubeserver.Reviews{Tokens: 1, Accesses: 1}},
	}
	made := 0
	measure := func(s *stack, bind string, do func(token, namespace string)) kubeserver.Reviews {
		made++
		namespace := fmt.Sprintf("cost-%d", made)
		admin.push(source, s.main+"/"+namespace+"/app:1")
		c.do("kubectl create namespace "+namespace,
			"kubectl create role some -n "+namespace+" --verb=get --resource=imagestreams.image.openshift.io/layers --resource-name=app",
			"kubectl create rolebinding some -n "+namespace+" "+bind)
		// A new token, because the cluster was asked about the one before.
		token := c.token("ci", "app")
		return c.reviews(func() {
			began := time.Now()
			do(token, namespace)
			s.t.Logf("it takes %s, without what is remembered", time.Since(began).Round(time.Microsecond))
		})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got kubeserver.Reviews
			// Where a request takes seconds, what was asked is asked again.
			for range 10 {
				if got = measure(s.in(t), tt.bind, tt.do); got == tt.want {
					return
				}
			}
			t.Errorf("the cluster was asked %+v, want %+v", got, tt.want)
		})
	}
}

package kube_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorization "k8s.io/api/authorization/v1"

	"github.com/larder-registry/larder/internal/kube"
)

// pull is a stranger's wish to pull demo/centos.
func pull() kube.Access {
	return kube.Access{
		User: kube.User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}},
		Verb: "get", Group: "image.openshift.io", Resource: "imagestreams", Subresource: "layers", Namespace: "demo", Name: "centos",
	}
}

func TestTheClusterTellsWhatAUserMay(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	c.Allow(func(spec authorization.SubjectAccessReviewSpec) bool { return spec.ResourceAttributes.Name == "centos" })
	asked := pull()
	asked.User.UID, asked.User.Extra = "17", map[string][]string{"scopes": {"user:info"}}

	may, err := client.ReviewAccess(t.Context(), asked)

	if err != nil || !may {
		t.Errorf("allowed is %v, %v", may, err)
	}
	want := []authorization.SubjectAccessReviewSpec{{
		User: "system:anonymous", Groups: []string{"system:unauthenticated"}, UID: "17",
		Extra: map[string]authorization.ExtraValue{"scopes": {"user:info"}},
		ResourceAttributes: &authorization.ResourceAttributes{
			Verb: "get", Group: "image.openshift.io", Resource: "imagestreams", Subresource: "layers", Namespace: "demo", Name: "centos",
		},
	}}
	_, got := c.Asked()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
}

func TestADecisionIsAskedForAgainAfterThreeSeconds(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	check := func(when string, want bool) {
		t.Helper()
		if got, err := client.ReviewAccess(t.Context(), pull()); err != nil || got != want {
			t.Errorf("%s: allowed is %v, %v", when, got, err)
		}
	}

	check("before the grant", false)
	c.AllowAll(true)
	check("just after the grant", false)
	c.clock.Pass(3 * time.Second)
	check("three seconds after the grant", true)
	c.AllowAll(false)
	c.clock.Pass(3 * time.Second)
	check("three seconds after its removal", false)
	c.clock.Pass(-time.Hour)
	check("after the clock was set back", false)
	if _, accesses := c.asked(); accesses != 4 {
		t.Errorf("the cluster was asked %d times, want 4", accesses)
	}
}

func TestQuestionsThatDifferAreNotMixedUp(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	different := []func(*kube.Access){
		func(*kube.Access) {},
		func(a *kube.Access) { a.Verb = "update" },
		func(a *kube.Access) { a.Subresource = "" },
		func(a *kube.Access) { a.Namespace, a.Name = "democ", "entos" },
		func(a *kube.Access) { a.Namespace = "" },
		func(a *kube.Access) { a.Name = "" },
		func(a *kube.Access) { a.User.Name = "alice" },
		func(a *kube.Access) { a.User.Groups = nil },
		func(a *kube.Access) { a.User.Groups = append(a.User.Groups, "devs") },
		func(a *kube.Access) { a.User.Extra = map[string][]string{"scopes": {"a", "b"}} },
		func(a *kube.Access) { a.User.Extra = map[string][]string{"scopes": {"a"}, "b": nil} },
	}
	for range 2 {
		for _, change := range different {
			asked := pull()
			change(&asked)
			if _, err := client.ReviewAccess(t.Context(), asked); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, accesses := c.asked(); accesses != len(different) {
		t.Errorf("the cluster was asked %d times, want %d", accesses, len(different))
	}
}

func TestTheSameQuestionIsAskedOnceForAllWhoWait(t *testing.T) {
	c := newCluster(t)
	client := c.client()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	c.Allow(func(authorization.SubjectAccessReviewSpec) bool {
		close(arrived) // a second one would panic
		<-goOn
		return true
	})
	var waiting sync.WaitGroup
	ask := func() {
		if may, err := client.ReviewAccess(t.Context(), pull()); err != nil || !may {
			t.Errorf("allowed is %v, %v", may, err)
		}
	}
	waiting.Go(ask)
	<-arrived
	for range 50 {
		waiting.Go(ask)
	}
	close(goOn)
	waiting.Wait()
}

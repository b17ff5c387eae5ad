package authz

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

// cluster is a reviewer that answers as a test wants it to.
type cluster struct {
	may   func(kube.Access) bool
	fault error
	asked []kube.Access
}

func (c *cluster) ReviewAccess(_ context.Context, a kube.Access) (bool, error) {
	c.asked = append(c.asked, a)
	return c.may(a), c.fault
}

func TestAClusterIsAskedInTheNamespaceOfTheProject(t *testing.T) {
	stranger := kube.User{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	app := Target{Project: "demo", Repository: "demo/team/app", Kind: metadata.Hosted}
	tests := []struct {
		action Action
		target Target
		want   []kube.Access
	}{
		{Pull, app, []kube.Access{
			{User: stranger, Verb: "get", Group: "image.openshift.io", Resource: "imagestreams", Subresource: "layers", Namespace: "demo"},
			{User: stranger, Verb: "get", Group: "image.openshift.io", Resource: "imagestreams", Subresource: "layers", Namespace: "demo", Name: "team/app"},
		}},
		{List, Target{Project: "demo"}, []kube.Access{
			{User: stranger, Verb: "list", Group: "image.openshift.io", Resource: "imagestreams", Namespace: "demo"},
		}},
		{GetProject, Target{Project: "demo"}, []kube.Access{
			{User: stranger, Verb: "get", Group: "project.openshift.io", Resource: "projects", Namespace: "demo", Name: "demo"},
		}},
		{CreateProject, Target{Project: "demo"}, []kube.Access{
			{User: stranger, Verb: "create", Group: "image.openshift.io", Resource: "imagestreams", Namespace: "demo"},
		}},
		{RequestProject, Target{Project: "demo"}, []kube.Access{
			{User: stranger, Verb: "create", Group: "image.openshift.io", Resource: "imagestreams", Namespace: "demo"},
		}},
		{CreateProject, Target{}, []kube.Access{
			{User: stranger, Verb: "create", Group: "project.openshift.io", Resource: "projects"},
		}},
		{Metrics, Target{}, []kube.Access{
			{User: stranger, Verb: "get", Group: "image.openshift.io", Resource: "registry", Subresource: "metrics"},
		}},
		{"get serviceaccounts", Target{Project: "demo"}, []kube.Access{
			{User: stranger, Verb: "get", Resource: "serviceaccounts", Namespace: "demo"},
		}},
	}
	for _, tt := range tests {
		t.Run(string(tt.action), func(t *testing.T) {
			for _, id := range []authn.Identity{authn.Anonymous(), {}} {
				c := &cluster{may: func(kube.Access) bool { return false }}
				if may, err := NewCluster(c).Allowed(t.Context(), id, tt.action, tt.target); err != nil || may {
					t.Errorf("allowed is %v, %v", may, err)
				}
				if diff := cmp.Diff(tt.want, c.asked); diff != "" {
					t.Errorf("what was asked (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestAClusterLearnsAllThatItSaidOfAUser(t *testing.T) {
	c := &cluster{may: func(kube.Access) bool { return true }}
	id := authn.Identity{User: "alice", Groups: []string{"devs"}, UID: "17", Extra: map[string][]string{"scopes": {"user:info"}}}

	may, err := NewCluster(c).Allowed(t.Context(), id, Push, Target{Project: "demo", Repository: "demo/app"})

	if err != nil || !may {
		t.Errorf("allowed is %v, %v", may, err)
	}
	want := []kube.Access{{
		User: kube.User{Name: "alice", Groups: []string{"devs"}, UID: "17", Extra: map[string][]string{"scopes": {"user:info"}}},
		Verb: "update", Group: "image.openshift.io", Resource: "imagestreams", Subresource: "layers", Namespace: "demo",
	}}
	if diff := cmp.Diff(want, c.asked); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
}

func TestAClusterIsAskedWhatWhoeverIsLoggedInMay(t *testing.T) {
	c := &cluster{may: func(a kube.Access) bool { return slices.Equal(a.User.Groups, []string{authn.GroupAuthenticated}) }}

	may, err := NewCluster(c).Allowed(t.Context(), authn.Identity{Groups: []string{authn.GroupAuthenticated}}, Pull, Target{Project: "demo"})

	if err != nil || !may || c.asked[0].User.Name != "" {
		t.Errorf("allowed is %v, %v, after %+v", may, err, c.asked)
	}
}

func TestARightToOneRepositoryIsNotOneToAnother(t *testing.T) {
	c := NewCluster(&cluster{may: func(a kube.Access) bool { return a.Name == "centos" }})
	for repository, want := range map[string]bool{"demo/centos": true, "demo/other": false, "demo/centos/more": false, "": false} {
		may, err := c.Allowed(t.Context(), authn.Anonymous(), Pull, Target{Project: "demo", Repository: repository, Kind: metadata.Hosted})
		if err != nil || may != want {
			t.Errorf("%q: allowed is %v, %v", repository, may, err)
		}
	}
}

func TestWhatIsOpenToStrangersIsOpenToWhoeverIsLoggedIn(t *testing.T) {
	c := NewCluster(&cluster{may: func(a kube.Access) bool { return a.User.Name == "system:anonymous" }})
	alice := authn.Identity{User: "alice", Groups: []string{authn.GroupAuthenticated}}
	capped := authn.Identity{User: "alice", Groups: alice.Groups, Cap: &authn.Cap{Scopes: []authn.Scope{authn.ScopeDelete}}}
	for _, tt := range []struct {
		who  authn.Identity
		want bool
	}{{authn.Anonymous(), true}, {alice, true}, {capped, false}} {
		may, err := c.Allowed(t.Context(), tt.who, Pull, Target{Project: "demo", Repository: "demo/app", Kind: metadata.Hosted})
		if err != nil || may != tt.want {
			t.Errorf("%+v: allowed is %v, %v", tt.who, may, err)
		}
	}
}

func TestWhatNeedsNoQuestionToTheCluster(t *testing.T) {
	cache := Target{Project: "docker-hub", Repository: "docker-hub/library/nginx", Kind: metadata.Cache}
	hosted := Target{Project: "demo", Repository: "demo/app", Kind: metadata.Hosted}
	admin := authn.Identity{User: "admin", Groups: []string{authn.GroupMasters}}
	readOnly := authn.Identity{User: "admin", Groups: admin.Groups, Cap: &authn.Cap{Scopes: []authn.Scope{authn.ScopeRead}}}
	alice := authn.Identity{User: "alice", Groups: []string{authn.GroupAuthenticated}}
	tests := []struct {
		name   string
		who    authn.Identity
		action Action
		target Target
		want   bool
	}{
		{"the admin may push", admin, Push, hosted, true},
		{"the admin may read the metrics", admin, Metrics, Target{}, true},
		{"the admin's token for reading may not push", readOnly, Push, hosted, false},
		{"the admin's token for reading may pull", readOnly, Pull, hosted, true},
		{"a stranger may pull from a cache", authn.Anonymous(), Pull, cache, true},
		{"a user may list a cache", alice, List, cache, true},
		{"a user may describe a cached repository", alice, Describe, cache, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cluster{may: func(kube.Access) bool { return !tt.want }}
			may, err := NewCluster(c).Allowed(t.Context(), tt.who, tt.action, tt.target)
			if err != nil || may != tt.want || len(c.asked) > 0 {
				t.Errorf("allowed is %v, %v, after %d questions", may, err, len(c.asked))
			}
		})
	}
}

func TestWhatACacheKeepsFromUsersIsAskedOfTheCluster(t *testing.T) {
	cache := Target{Project: "docker-hub", Repository: "docker-hub/library/nginx", Kind: metadata.Cache}
	alice := authn.Identity{User: "alice", Groups: []string{authn.GroupAuthenticated}}
	for _, asked := range []struct {
		who    authn.Identity
		action Action
	}{{alice, Push}, {alice, Delete}, {authn.Anonymous(), List}, {authn.Anonymous(), Describe}} {
		c := &cluster{may: func(kube.Access) bool { return false }}
		if may, err := NewCluster(c).Allowed(t.Context(), asked.who, asked.action, cache); err != nil || may || len(c.asked) == 0 {
			t.Errorf("%s may %s: %v, %v, after %d questions", asked.who.User, asked.action, may, err, len(c.asked))
		}
	}
}

// What Larder's own roles give to everyone, the project's service accounts among them,
// counts for caches alone.
func TestOfAHostedProjectTheClusterAloneDecides(t *testing.T) {
	hosted := Target{Project: "demo", Repository: "demo/app", Kind: metadata.Hosted}
	ci := authn.Identity{User: "system:serviceaccount:demo:ci", Groups: []string{authn.GroupAuthenticated, "system:serviceaccounts", "system:serviceaccounts:demo"}}
	for _, who := range []authn.Identity{ci, {User: "alice", Groups: []string{authn.GroupAuthenticated}}, authn.Anonymous()} {
		for _, action := range []Action{Pull, List, Describe, GetProject, RequestProject} {
			for _, want := range []bool{false, true} {
				c := &cluster{may: func(kube.Access) bool { return want }}
				if may, err := NewCluster(c).Allowed(t.Context(), who, action, hosted); err != nil || may != want || len(c.asked) == 0 {
					t.Errorf("%s may %s: %v, %v, after %d questions", who.User, action, may, err, len(c.asked))
				}
			}
		}
	}
}

func TestWithoutTheClusterNothingIsAllowedAndNothingDenied(t *testing.T) {
	silence := &kube.UnansweredError{Public: "the cluster's API server did not answer", Err: errors.New("connection refused")}
	c := NewCluster(&cluster{may: func(kube.Access) bool { return true }, fault: silence})

	may, err := c.Allowed(t.Context(), authn.Anonymous(), Pull, Target{Project: "demo", Repository: "demo/app", Kind: metadata.Hosted})

	undecided, ok := errors.AsType[*UndecidedError](err)
	if may || !ok || undecided.Public() != "whether you may do this cannot be decided now: the cluster's API server did not answer; try again" {
		t.Errorf("allowed is %v, %v", may, err)
	}
}

package authz

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestOnAClusterARefusalNamesTheLineForKubectl(t *testing.T) {
	demo := Target{Project: "demo"}
	tests := []struct {
		user   string
		action Action
		target Target
		want   string
	}{
		{"bob", Pull, demo, "kubectl create rolebinding bob-image-puller -n demo --clusterrole=system:image-puller --user=bob"},
		{"bob", Push, demo, "kubectl create rolebinding bob-image-builder -n demo --clusterrole=system:image-builder --user=bob"},
		{"bob", CreateRepository, demo, "kubectl create rolebinding bob-image-builder -n demo --clusterrole=system:image-builder --user=bob"},
		{"bob", RequestProject, demo, "kubectl create rolebinding bob-image-builder -n demo --clusterrole=system:image-builder --user=bob"},
		{"bob", List, demo, "kubectl create rolebinding bob-registry-viewer -n demo --clusterrole=registry-viewer --user=bob"},
		{"bob", Delete, demo, "kubectl create rolebinding bob-registry-editor -n demo --clusterrole=registry-editor --user=bob"},
		{"bob", ListEvents, demo, "kubectl create rolebinding bob-view -n demo --clusterrole=view --user=bob"},
		{"bob", ListServiceAccounts, demo, "kubectl create rolebinding bob-view -n demo --clusterrole=view --user=bob"},
		{"bob", CreateServiceAccount, demo, "kubectl create rolebinding bob-edit -n demo --clusterrole=edit --user=bob"},
		{"bob", Prune, Target{}, "kubectl create clusterrolebinding bob-image-pruner --clusterrole=system:image-pruner --user=bob"},
		{"bob", Prune, demo, ""},
		{"bob", CreateProject, Target{}, ""},
		{"bob", Backup, Target{}, ""},
		{"bob", "impersonate users", Target{}, ""},
		{
			"system:serviceaccount:demo:ci", Push, demo,
			"kubectl create rolebinding demo-ci-image-builder -n demo --clusterrole=system:image-builder --serviceaccount=demo:ci",
		},
		{
			"https://login.example.com#o'hara", Pull, demo,
			`kubectl create rolebinding https---login.example.com-o-hara-image-puller -n demo --clusterrole=system:image-puller --user='https://login.example.com#o'\''hara'`,
		},
		{
			"--x $(reboot)", Pull, demo,
			`kubectl create rolebinding x---reboot--image-puller -n demo --clusterrole=system:image-puller --user='--x $(reboot)'`,
		},
	}
	for _, tt := range tests {
		if got := NewCluster(nil).GrantCommand(tt.user, tt.action, tt.target); got != tt.want {
			t.Errorf("%s, %s on %s:\n got %s\nwant %s", tt.user, tt.action, tt.target, got, tt.want)
		}
	}
}

func TestAGrantInTheWordsOfKubectl(t *testing.T) {
	for want, grant := range map[string]Grant{
		"kubectl create rolebinding unauthenticated-image-puller -n demo --clusterrole=system:image-puller --group=system:unauthenticated --user=bob": {
			Project: "demo", Role: RoleImagePuller, Subjects: []Subject{User("system:unauthenticated"), User("bob")},
		},
		"kubectl create rolebinding bob-mine -n demo --role=mine --user=bob":          {Project: "demo", Kind: KindRole, Role: "mine", Subjects: []Subject{User("bob")}},
		"kubectl create clusterrolebinding devs-view --clusterrole=view --group=devs": {Role: RoleView, Subjects: []Subject{Group("devs")}},
		"kubectl create rolebinding view -n demo --clusterrole=view":                  {Project: "demo", Role: RoleView},
	} {
		if got := BindCommand(grant); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// What is suggested on a cluster has to be what is shipped for one.
func TestTheRolesForClustersAllowWhatIsSaidOfThem(t *testing.T) {
	shipped := clusterRoles(t)
	for _, r := range BuiltinRoles() {
		rules, ok := shipped[r.Name]
		switch r.Name {
		case RoleView, RoleEdit, RoleAdmin, RoleClusterAdmin, RoleSelfProvisioner:
			if ok {
				t.Errorf("%s is Kubernetes' or OpenShift's own, and is shipped", r.Name)
			}
			continue
		}
		for _, action := range decided() {
			if said := covers(onCluster(r), action, ""); said && !covers(rules, action, "") {
				t.Errorf("%s does not allow to %s on a cluster", r.Name, action)
			}
			if here := covers(BuiltinRoles()[ownerAt()].Rules, action, ""); !here && covers(rules, action, "") && r.Name != RoleImagePruner {
				t.Errorf("%s allows to %s on a cluster, which no owner of a project may", r.Name, action)
			}
		}
	}
}

func ownerAt() int {
	for i, r := range BuiltinRoles() {
		if r.Name == RoleAdmin {
			return i
		}
	}
	return -1
}

// clusterRoles reads what is shipped for clusters.
func clusterRoles(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	text, err := os.ReadFile("../../deploy/kubernetes/clusterroles.yaml")
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string][]rbacv1.PolicyRule{}
	for documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text)); ; {
		var r rbacv1.ClusterRole
		if err := documents.Decode(&r); errors.Is(err, io.EOF) {
			return roles
		} else if err != nil {
			t.Fatal(err)
		}
		roles[r.Name] = r.Rules
	}
}

func TestWhyAClusterLetsSomebodyDoSomething(t *testing.T) {
	hosted := Target{Project: "demo", Repository: "demo/app", Kind: metadata.Hosted}
	cached := Target{Project: "docker-hub", Repository: "docker-hub/library/nginx", Kind: metadata.Cache}
	bob := authn.Identity{User: "bob", Groups: []string{authn.GroupAuthenticated}}
	reader := bob
	reader.Cap = &authn.Cap{Scopes: []authn.Scope{authn.ScopeRead}}
	tests := []struct {
		name   string
		who    authn.Identity
		action Action
		target Target
		may    bool // says the cluster
		want   bool
		reason string
	}{
		{"granted", bob, Push, hosted, true, true, "the cluster lets bob update imagestreams/layers on repository demo/app; its roles and bindings for namespace demo decide, and those that are kept here have no say"},
		{"not granted", bob, Push, hosted, false, false, "the cluster does not let bob update imagestreams/layers on repository demo/app; its roles and bindings for namespace demo decide, and those that are kept here have no say"},
		{"not granted everywhere", bob, Prune, Target{}, false, false, "the cluster does not let bob delete images on all projects; its roles and bindings for all namespaces decide, and those that are kept here have no say"},
		{"more than the token may", reader, Push, hosted, true, false, "the access token that is shown is limited, and does not allow it"},
		{"the admin", authn.Identity{User: "admin", Groups: []string{authn.GroupMasters}}, Push, hosted, false, true, "admin is in group system:masters, which may everything; the cluster is not asked"},
		{"a cache", authn.Anonymous(), Pull, cached, false, true, "caches are open: the cluster is not asked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := NewCluster(&cluster{may: func(kube.Access) bool { return tt.may }})
			may, reason, err := c.Explain(t.Context(), tt.who, tt.action, tt.target)
			if err != nil || may != tt.want || reason != tt.reason {
				t.Errorf("got %v, %v\n%s", may, err, reason)
			}
		})
	}
	silent := NewCluster(&cluster{may: func(kube.Access) bool { return true }, fault: &kube.UnansweredError{Public: "gone", Err: errors.New("gone")}})
	if may, _, err := silent.Explain(t.Context(), bob, Pull, hosted); err == nil || may {
		t.Errorf("without the cluster: %v, %v", may, err)
	}
}

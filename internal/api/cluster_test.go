package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/oci"
)

// grants is a cluster that allows what is listed: user, verb, resource and namespace.
type grants struct {
	given []string
	asked int
}

func (g *grants) ReviewAccess(_ context.Context, a kube.Access) (bool, error) {
	g.asked++
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	return slices.Contains(g.given, fmt.Sprintf("%s %s %s %s", a.User.Name, a.Verb, resource, a.Namespace)), nil
}

// newClusterFixture is a fixture in which a cluster decides, and bob, who is logged in.
func newClusterFixture(t *testing.T) (f *fixture, cluster *grants, bob as) {
	t.Helper()
	f, cluster = newFixture(t), &grants{}
	decides := authz.NewCluster(cluster)
	f.config.Authorizer, f.config.Roles, f.config.Cluster = decides, nil, decides
	f.handler = New(f.config)
	f.want(f.do(admin, "POST", "/api/v1/users", `{"name":"bob","password":"the password of bob"}`), 201, nil)
	return f, cluster, func(r *http.Request) { r.SetBasicAuth("bob", "the password of bob") }
}

func TestWhereAClusterDecidesRolesAreNotKeptAndItIsSaidWhatToDo(t *testing.T) {
	f, _, bob := newClusterFixture(t)
	const have = "a cluster decides here who may do what, and roles and bindings that are kept here have no say: "
	const same = have + "run the same command with kubectl or oc in place of larder"
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", "/api/v1/projects/demo/grants", `{"role":"view","users":["alice"]}`, have + "run kubectl create rolebinding alice-view -n demo --clusterrole=view --user=alice"},
		{"POST", "/api/v1/clustergrants", `{"role":"view","groups":["devs"]}`, have + "run kubectl create clusterrolebinding devs-view --clusterrole=view --group=devs"},
		{"DELETE", "/api/v1/projects/demo/grants", `{"role":"view","users":["alice"]}`, have + "run kubectl delete on the binding; kubectl get rolebindings -o wide -n demo lists who has which role"},
		{"DELETE", "/api/v1/clustergrants", `{"role":"view","users":["alice"]}`, have + "run kubectl delete on the binding; kubectl get clusterrolebindings -o wide lists who has which role"},
		{"GET", "/api/v1/projects/demo/who-can?verb=get&resource=imagestreams", "", have + "kubectl get rolebindings -o wide -n demo lists who has which role, and larder auth can-i --as asks for one user"},
		{"GET", "/api/v1/exposure", "", have + "larder auth can-i get imagestreams/layers --as system:anonymous -n PROJECT asks for one project"},
		{"GET", "/api/v1/projects/demo/roles", "", same}, {"GET", "/api/v1/clusterroles", "", same}, {"GET", "/api/v1/clusterroles/view", "", same},
		{"POST", "/api/v1/projects/demo/roles", `{"name":"mine","rules":[]}`, same}, {"DELETE", "/api/v1/projects/demo/roles/mine", "", same},
		{"POST", "/api/v1/projects/demo/rolebindings", `{"name":"mine","role":"view"}`, same}, {"GET", "/api/v1/clusterrolebindings", "", same},
	} {
		for _, who := range []as{admin, bob} {
			f.wantProblem(f.do(who, tt.method, tt.path, tt.body), 409, tt.want)
		}
	}
}

func TestWhereAClusterDecidesAReviewSaysSo(t *testing.T) {
	f, cluster, bob := newClusterFixture(t)
	cluster.given = []string{"bob get imagestreams/layers demo"}
	var got AccessReview
	f.want(f.do(bob, "POST", "/api/v1/accessreviews", `{"verb":"get","resource":"imagestreams/layers","project":"demo","name":"app"}`), 200, &got)
	reason := "the cluster lets bob get imagestreams/layers on repository demo/app; its roles and bindings for namespace demo decide, and those that are kept here have no say"
	if !got.Allowed || !slices.Equal(got.Reasons, []string{reason}) || got.Command != "" {
		t.Errorf("a pull: %+v", got)
	}
	got = AccessReview{}
	f.want(f.do(bob, "POST", "/api/v1/accessreviews", `{"verb":"update","resource":"imagestreams/layers","project":"demo","name":"app"}`), 200, &got)
	if got.Allowed || got.Command != "kubectl create rolebinding bob-image-builder -n demo --clusterrole=system:image-builder --user=bob" {
		t.Errorf("a push: %+v", got)
	}
}

func TestAProjectIsMadeByWhoMayMakeRepositoriesInItsNamespace(t *testing.T) {
	f, cluster, bob := newClusterFixture(t)
	f.wantProblem(f.do(bob, "POST", "/api/v1/projects", `{"name":"demo"}`), 403,
		"bob has no right to create projectrequests in project demo; an administrator can run kubectl create rolebinding bob-image-builder -n demo --clusterrole=system:image-builder --user=bob")
	f.wantProblem(f.do(bob, "POST", "/api/v1/prune", "{}"), 403,
		"bob has no right to delete images in all projects; an administrator can run kubectl create clusterrolebinding bob-image-pruner --clusterrole=system:image-pruner --user=bob")
	f.wantProblem(f.do(bob, "GET", "/api/v1/users", ""), 403, "bob has no right to list users in all projects; ask an administrator")
	cluster.given = []string{"bob create imagestreams demo"}
	f.want(f.do(bob, "POST", "/api/v1/projects", `{"name":"demo"}`), 201, nil)
	f.wantProblem(f.do(bob, "POST", "/api/v1/projects", `{"name":"other"}`), 403, "in project other")
}

func TestAListEndsWhereItWouldAskTheClusterTooMuchAndGoesOnFromThere(t *testing.T) {
	f, cluster, bob := newClusterFixture(t)
	var want []string
	for i := range 180 {
		name := fmt.Sprintf("p-%03d", i)
		f.want(f.do(admin, "POST", "/api/v1/projects", fmt.Sprintf(`{"name":%q}`, name)), 201, nil)
		if i%3 == 0 {
			want = append(want, name)
			cluster.given = append(cluster.given, "bob get projects "+name)
		}
	}
	read := func(path string, page func(after string) (names []string, next string)) []string {
		var all []string
		for after := ""; ; {
			cluster.asked = 0
			names, next := page(after)
			all = append(all, names...)
			if cluster.asked > 205 {
				t.Errorf("%s after %q: the cluster was asked %d times", path, after, cluster.asked)
			}
			if next == "" {
				return all
			}
			after = next
		}
	}
	got := read("projects", func(after string) (names []string, next string) {
		var list ProjectList
		f.want(f.do(bob, "GET", "/api/v1/projects?limit=1000&after="+after, ""), 200, &list)
		for _, p := range list.Items {
			names = append(names, p.Name)
		}
		return names, list.Next
	})
	if !slices.Equal(got, want) {
		t.Errorf("the projects are\n%q\nwant\n%q", got, want)
	}

	cluster.given = []string{"bob get projects p-000", "bob list imagestreams p-000"}
	want = nil
	for i := range 120 {
		name := fmt.Sprintf("app-%03d", i)
		if err := f.db.Repositories.Create(t.Context(), oci.Repository("p-000/"+name).String()); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	got = read("repositories", func(after string) (names []string, next string) {
		var list RepositoryList
		f.want(f.do(bob, "GET", "/api/v1/projects/p-000/repositories?limit=1000&after="+after, ""), 200, &list)
		for _, r := range list.Items {
			names = append(names, r.Name)
		}
		return names, list.Next
	})
	if !slices.Equal(got, want) {
		t.Errorf("the repositories are\n%q\nwant\n%q", got, want)
	}
}

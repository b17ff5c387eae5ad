package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxQuestions is how much one request has the cluster asked at most.
const maxQuestions = 200

func TestAListAsksTheClusterABoundedNumberOfQuestions(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.do("kubectl create namespace demo", "kubectl create namespace open", "kubectl create namespace other")
	node := c.account("other", "node")
	s := c.newStack()
	const repositories = 60
	for _, project := range []string{"demo", "open"} {
		s.adminPosts("/api/v1/projects", map[string]string{"name": project})
		for i := range repositories {
			s.adminPosts("/api/v1/projects/"+project+"/repositories", map[string]string{"name": fmt.Sprintf("app-%03d", i)})
		}
	}
	const projects = 120
	for i := range projects {
		s.adminPosts("/api/v1/projects", map[string]string{"name": fmt.Sprintf("p-%03d", i)})
	}
	c.do(
		"kubectl create role one -n demo --verb=get --resource=imagestreams.image.openshift.io/layers --resource-name=app-059",
		"kubectl create rolebinding one -n demo --role=one --user=system:anonymous",
		"kubectl create rolebinding all -n open --clusterrole=system:image-puller --user=system:anonymous",
		"kubectl create rolebinding viewers -n demo --clusterrole=registry-viewer --serviceaccount=other:node",
	)

	// What one request, which Larder has no answer to yet, has the cluster asked.
	bounded := func(t *testing.T, request func()) {
		t.Helper()
		s.killAndStartAgain()
		asked := c.reviews(request)
		t.Logf("the cluster was asked %+v", asked)
		// What decides before a list does is asked beside it.
		if asked.Accesses == 0 || asked.Accesses > maxQuestions+20 {
			t.Errorf("the cluster was asked %+v", asked)
		}
	}

	t.Run("a stranger's catalog", func(t *testing.T) {
		bounded(t, func() {
			if got := s.status(http.MethodGet, "/v2/_catalog?n=1000", s.strangersToken("registry:catalog:*")); got != http.StatusOK {
				t.Errorf("the catalog gets %d", got)
			}
		})
		want := []string{"demo/app-059"}
		for i := range repositories {
			want = append(want, fmt.Sprintf("open/app-%03d", i))
		}
		registry, err := name.NewRegistry(s.main, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Catalog(t.Context(), registry, remote.WithAuth(authn.Anonymous))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("over all pages (-want +got):\n%s", diff)
		}
	})
	t.Run("a stranger's search", func(t *testing.T) {
		var list struct {
			Count   int `json:"num_results"`
			Results []struct{ Name string }
		}
		bounded(t, func() {
			if err := json.Unmarshal(get(t, "http://"+s.main+"/v1/search?q=app&n=100", http.StatusOK, "", ""), &list); err != nil {
				t.Fatal(err)
			}
		})
		if list.Count != repositories || list.Results[0].Name != "open/app-000" {
			t.Errorf("found are %+v", list)
		}
	})
	t.Run("a stranger's lists in Docker Hub's form", func(t *testing.T) {
		for path, want := range map[string]string{
			"/v2/search/repositories/?query=app&page_size=100": `"open/app-0`,
			"/v2/namespaces/open/repositories?page_size=100":   `"app-000"`,
			"/v2/repositories/open/app-000/":                   `"app-000"`,
		} {
			bounded(t, func() { wants(t, string(get(t, "http://"+s.main+path, http.StatusOK, "", "")), want) })
		}
	})
	t.Run("a stranger's token", func(t *testing.T) {
		scopes := make([]string, 64)
		for i := range scopes {
			scopes[i] = fmt.Sprintf("repository:p-%03d/app:pull,push,delete", i)
		}
		bounded(t, func() { s.strangersToken(strings.Join(scopes, "+")) })
	})
	t.Run("the projects of who is logged in", func(t *testing.T) {
		var list struct {
			Items []struct{ Name string }
			Next  string
		}
		bounded(t, func() {
			body := get(t, "http://"+s.main+"/api/v1/projects?limit=1000", http.StatusOK, "unused", node)
			if err := json.Unmarshal(body, &list); err != nil {
				t.Fatal(err)
			}
		})
		if list.Next == "" {
			t.Errorf("one page tells of all projects: %+v", list)
		}
		larder := newLarder(t)
		larder.run("login", "http://"+s.main, "--token", node)
		if got, want := larder.run("projects", "-q"), "demo\ndocker-hub\n"; got != want {
			t.Errorf("over all pages:\n%s\nwant:\n%s", got, want)
		}
		larder.run("project", "demo")
		if got := strings.Count(larder.run("get", "imagestreams", "-o", "name"), "\n"); got != repositories {
			t.Errorf("demo has %d repositories, want %d", got, repositories)
		}
	})
	t.Run("a push to a cache, which looks for another project", func(t *testing.T) {
		bounded(t, func() {
			if got := s.pushStatus("docker-hub/library/mine", node); got == http.StatusAccepted {
				t.Errorf("a push to a cache gets %d", got)
			}
		})
	})
}

// strangersToken is a registry token for nobody.
func (s *stack) strangersToken(scope string) string {
	s.t.Helper()
	var issued struct{ Token string }
	if err := json.Unmarshal(get(s.t, "http://"+s.main+"/token?service="+s.main+"&scope="+scope, http.StatusOK, "", ""), &issued); err != nil {
		s.t.Fatal(err)
	}
	return issued.Token
}

// adminPosts has the admin make something.
func (s *stack) adminPosts(path string, what any) {
	s.t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.main+path, strings.NewReader(string(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		s.t.Fatalf("%s: status %d", path, answer.StatusCode)
	}
}

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/hubsim"
)

// podCluster is an API server that knows nothing but pods.
type podCluster struct {
	kubeconfig string
	mu         sync.Mutex
	images     map[string]digest.Digest // of one container each
	refuses    bool
}

func newPodCluster(t *testing.T) *podCluster {
	t.Helper()
	c := &podCluster{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), images: map[string]digest.Digest{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	text := fmt.Sprintf(`{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u"}]}`, server.URL)
	if err := os.WriteFile(c.kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *podCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if c.refuses || r.URL.Path != "/api/v1/pods" {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"pods is forbidden","code":403}`))
		return
	}
	var pods []map[string]any
	for image, d := range c.images {
		pods = append(pods, map[string]any{
			"spec":   map[string]any{"containers": []map[string]string{{"name": "c", "image": image}}},
			"status": map[string]any{"containerStatuses": []map[string]string{{"name": "c", "imageID": "docker.io/x@" + d.String()}}},
		})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]string{}, "items": pods})
}

func (c *podCluster) runs(images map[string]digest.Digest, refuses bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images, c.refuses = images, refuses
}

func TestImagesThatRunInAClusterArePinnedUntilTheyAreNotSeenAnyMore(t *testing.T) {
	cluster := newPodCluster(t)
	s := newStack(t, hubsim.Options{}, "publicURL: https://registry.example\nkubernetes: {kubeconfig: "+cluster.kubeconfig+", pinRunning: 2h}\n")
	one, two := s.hub.AddImage("library/one", "1", small(1)), s.hub.AddImage("acme/two", "1", small(2))
	s.get("/v2/docker-hub/library/one/manifests/1").is(t, one.Digest)
	s.get("/v2/docker-hub/acme/two/manifests/1").is(t, two.Digest)
	pins := func() []string {
		var list struct {
			Items []struct {
				Project, Repository, Digest, Reason string
				Until                               *time.Time
			}
		}
		if err := json.Unmarshal(s.asks(http.MethodGet, "/api/v1/pins", nil).body, &list); err != nil {
			t.Fatal(err)
		}
		all := []string{}
		for _, p := range list.Items {
			all = append(all, p.Project+"/"+p.Repository+"@"+p.Digest+" "+p.Reason)
			if p.Until == nil {
				t.Errorf("%s never ends", p.Repository)
			}
		}
		return all
	}
	become := func(want ...string) {
		t.Helper()
		eventually(t, fmt.Sprint("pins ", want), func() bool { return cmp.Equal(append([]string{}, want...), pins()) })
	}
	ones := "docker-hub/library/one@" + one.Digest.String() + " runs in a cluster"
	twos := "docker-hub/acme/two@" + two.Digest.String() + " runs in a cluster"
	cluster.runs(map[string]digest.Digest{
		"one:1": one.Digest, "registry.example/docker-hub/acme/two:1": two.Digest, "quay.io/other/image:1": one.Digest, "never-pulled:1": digest.FromString("x"),
	}, false)
	become(twos, ones)
	cluster.runs(map[string]digest.Digest{"one:1": one.Digest}, false)
	s.clock.Pass(90 * time.Minute)
	eventually(t, "the pin to be renewed", func() bool { return len(pins()) == 2 })
	s.clock.Pass(time.Hour)
	become(ones)
	// While the cluster does not tell, nothing ends.
	cluster.runs(nil, true)
	time.Sleep(200 * time.Millisecond)
	s.clock.Pass(100 * time.Hour)
	time.Sleep(300 * time.Millisecond)
	var list struct{ Items []any }
	if err := json.Unmarshal(s.asks(http.MethodGet, "/api/v1/pins", nil).body, &list); err != nil || len(list.Items) != 1 {
		t.Errorf("pinned are %v, %v", list.Items, err)
	}
	cluster.runs(map[string]digest.Digest{}, false)
	become()
}

func TestANameIsPinnedAsPullsUnderstandIt(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	image := s.hub.AddImage("library/nginx", "1.27", small(1))
	s.get("/v2/docker-hub/nginx/manifests/1.27").is(t, image.Digest)
	got := s.asks(http.MethodPut, "/api/v1/projects/docker-hub/repositories/nginx/pins/1.27", nil)
	var pin struct{ Repository, Tag string }
	if err := json.Unmarshal(got.body, &pin); err != nil || pin.Repository != "library/nginx" || pin.Tag != "1.27" {
		t.Errorf("pinned is %+v, %v", pin, err)
	}
	s.asks(http.MethodDelete, "/api/v1/projects/docker-hub/repositories/nginx/pins/1.27", nil)
}

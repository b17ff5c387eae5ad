package chaos_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/hubsim"
)

// hooked is a receiver of webhooks that fails now and then, and what it has heard.
type hooked struct {
	*httptest.Server
	mu   sync.Mutex
	tags map[string][]string // of each repository, as they came
	left int                 // requests that it still refuses
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	h := &hooked{tags: map[string][]string{}, left: 3}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *hooked) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var p struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			Name string `json:"repo_name"`
		} `json:"repository"`
	}
	if err != nil || json.Unmarshal(body, &p) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left > 0 && len(h.tags[p.Repository.Name]) > 5 {
		h.left--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.tags[p.Repository.Name] = append(h.tags[p.Repository.Name], p.PushData.Tag)
}

// heard is what came of a repository, each once, in the order in which it came first.
func (h *hooked) heard(repository string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, tag := range h.tags[repository] {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}

// pushTag pushes an index of nothing to a tag.
func (c *client) pushTag(t *testing.T, repository, tag string) error {
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"of":%q}}`, repository+tag)
	a, err := c.do(t.Context(), request{
		method: http.MethodPut, path: "/v2/" + repository + "/manifests/" + tag, body: strings.NewReader(body), size: int64(len(body)),
		header: map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"},
	})
	if err == nil && a.status != http.StatusCreated {
		err = fmt.Errorf("%w: %s", errRefused, a)
	}
	return err
}

func TestAWebhookHearsEveryPushInOrderThroughKills(t *testing.T) {
	const repositories, kills = 3, 6
	receiver := newHooked(t)
	s := newServer(t, filepath.Join(t.TempDir(), "data"), newHub(t, hubsim.Options{}))
	config := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(config, []byte("webhooks: {allow: [127.0.0.1]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = append(s.args, "--config", config)
	c := s.start()
	for path, body := range map[string]string{
		"/api/v1/projects":               `{"name":"demo"}`,
		"/api/v1/projects/demo/webhooks": fmt.Sprintf(`{"name":"ci","url":%q,"events":["push"]}`, receiver.URL),
	} {
		until(t, path, func() bool { // the project comes first
			a, err := c.do(t.Context(), request{method: http.MethodPost, path: path, body: strings.NewReader(body), size: int64(len(body)), header: map[string]string{"Content-Type": "application/json"}})
			return err == nil && a.ok()
		})
	}
	sent, acknowledged := make([][]string, repositories), make([][]string, repositories)
	for range kills {
		var killed atomic.Bool
		var pushing sync.WaitGroup
		for i := range repositories {
			pushing.Go(func() {
				for !killed.Load() {
					tag := fmt.Sprintf("t%05d", len(sent[i]))
					sent[i] = append(sent[i], tag)
					err := c.pushTag(t, fmt.Sprintf("demo/app%d", i), tag)
					if err == nil {
						acknowledged[i] = append(acknowledged[i], tag)
					} else if !killed.Load() {
						t.Errorf("pushing: %v", err)
						return
					}
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		killed.Store(true)
		s.kill()
		pushing.Wait()
		c = s.start()
	}
	pushes := 0
	for i := range repositories {
		repository := fmt.Sprintf("demo/app%d", i)
		pushes += len(acknowledged[i])
		missing := acknowledged[i]
		until(t, "every push to "+repository+" is heard of", func() bool {
			heard := receiver.heard(repository)
			missing = slices.DeleteFunc(slices.Clone(acknowledged[i]), func(tag string) bool { return slices.Contains(heard, tag) })
			return len(missing) == 0
		})
		heard := receiver.heard(repository)
		if !slices.IsSorted(heard) {
			t.Errorf("pushes to %s were heard of in another order: %v", repository, heard)
		}
		for _, tag := range heard {
			if !slices.Contains(sent[i], tag) {
				t.Errorf("%s:%s was heard of, and was never pushed", repository, tag)
			}
		}
	}
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	requests := 0
	for _, tags := range receiver.tags {
		requests += len(tags)
	}
	if receiver.left > 0 || pushes < repositories*kills {
		t.Errorf("%d pushes were acknowledged, and the receiver has %d refusals left: too little happened", pushes, receiver.left)
	}
	t.Logf("%d pushes acknowledged through %d kills, %d requests taken", pushes, kills, requests)
}

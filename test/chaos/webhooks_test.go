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

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/metadata/metadatatest"
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

// hear makes project demo and its webhook.
func (h *hooked) hear(t *testing.T, c *client) {
	t.Helper()
	for _, m := range []struct{ path, body string }{
		{"/api/v1/projects", `{"name":"demo"}`},
		{"/api/v1/projects/demo/webhooks", fmt.Sprintf(`{"name":"ci","url":%q,"events":["push"]}`, h.URL)},
	} {
		a, err := c.do(t.Context(), request{
			method: http.MethodPost, path: m.path, body: strings.NewReader(m.body), size: int64(len(m.body)),
			header: map[string]string{"Content-Type": "application/json"},
		})
		if err != nil || !a.ok() {
			t.Fatalf("%s: %v, %s", m.path, err, a)
		}
	}
}

// tagger pushes one tag of a repository after the other.
type tagger struct {
	repository         string
	sent, acknowledged []string
	pushes             atomic.Int64 // acknowledged ones, for others to read
}

// taggers are of several repositories.
func taggers(count int) (all []*tagger) {
	for i := range count {
		all = append(all, &tagger{repository: fmt.Sprintf("demo/app%d", i)})
	}
	return all
}

func (p *tagger) push(t *testing.T, c *client) error {
	tag := fmt.Sprintf("t%05d", len(p.sent))
	p.sent = append(p.sent, tag)
	err := c.pushTag(t, p.repository, tag)
	if err == nil {
		p.acknowledged = append(p.acknowledged, tag)
		p.pushes.Add(1)
	}
	return err
}

// pushesGoOn waits until some more pushes of each were acknowledged.
func pushesGoOn(t *testing.T, all []*tagger) {
	t.Helper()
	var before []int64
	for _, p := range all {
		before = append(before, p.pushes.Load())
	}
	for i, p := range all {
		comesTrue(t, "pushes to "+p.repository+" go on", func() bool { return p.pushes.Load() > before[i]+4 || t.Failed() })
	}
}

// heardBy waits until the receiver has heard of every push that was acknowledged, and holds
// the order against that in which they were sent.
func (p *tagger) heardBy(t *testing.T, h *hooked) {
	t.Helper()
	comesTrue(t, "every push to "+p.repository+" is heard of", func() bool {
		heard := h.heard(p.repository)
		return !slices.ContainsFunc(p.acknowledged, func(tag string) bool { return !slices.Contains(heard, tag) })
	})
	heard := h.heard(p.repository)
	if !slices.IsSorted(heard) {
		t.Errorf("pushes to %s were heard of in another order: %v", p.repository, heard)
	}
	for _, tag := range heard {
		if !slices.Contains(p.sent, tag) {
			t.Errorf("%s:%s was heard of, and was never pushed", p.repository, tag)
		}
	}
}

// taken is how many requests were taken, and how many are still to be refused.
func (h *hooked) taken() (requests, left int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, tags := range h.tags {
		requests += len(tags)
	}
	return requests, h.left
}

// hooksFile is a configuration that lets webhooks reach the receiver.
func hooksFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(file, []byte("webhooks: {allow: [127.0.0.1]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAWebhookHearsEveryPushInOrderThroughKills(t *testing.T) {
	t.Parallel()
	const repositories, kills = 3, 6
	receiver := newHooked(t)
	s := newServer(t, filepath.Join(t.TempDir(), "data"), newHub(t, hubsim.Options{}))
	s.args = append(s.args, "--config", hooksFile(t))
	c := s.start()
	receiver.hear(t, c)
	all := taggers(repositories)
	for range kills {
		var killed atomic.Bool
		var pushing sync.WaitGroup
		for _, p := range all {
			pushing.Go(func() {
				for !killed.Load() {
					if err := p.push(t, c); err != nil && !killed.Load() {
						t.Errorf("pushing: %v", err)
						return
					}
				}
			})
		}
		pushesGoOn(t, all)
		killed.Store(true)
		s.kill()
		pushing.Wait()
		c = s.start()
	}
	pushes := 0
	for _, p := range all {
		pushes += len(p.acknowledged)
		p.heardBy(t, receiver)
	}
	requests, left := receiver.taken()
	if left > 0 || pushes < repositories*kills {
		t.Errorf("%d pushes were acknowledged, and the receiver has %d refusals left: too little happened", pushes, left)
	}
	t.Logf("%d pushes acknowledged through %d kills, %d requests taken", pushes, kills, requests)
}

func TestWhatAKilledServerWasToTellWebhooksAnotherTellsInOrder(t *testing.T) {
	t.Parallel()
	postgres := metadatatest.NewPostgreSQL(t)
	receiver, hub, database := newHooked(t), newHub(t, hubsim.Options{}), postgres.Database(t)
	receiver.left = 0
	var servers []*server
	for range 2 {
		s := newServer(t, filepath.Join(t.TempDir(), "data"), hub)
		s.args = append(s.args, "--config", hooksFile(t))
		s.env = []string{"LARDER_DATABASE=" + database, "LARDER_CREDENTIAL_KEY=" + strings.Repeat("k", 32)}
		servers = append(servers, s)
	}
	tells, other := servers[0], servers[1] // who is there first tells webhooks
	receiver.hear(t, tells.start())
	other.start()
	all := taggers(3)
	for range 2 {
		var killed atomic.Bool
		var pushing sync.WaitGroup
		for _, p := range all {
			pushing.Go(func() { p.pushToEither(t, &killed, newClient(t, tells.url), newClient(t, other.url)) })
		}
		pushesGoOn(t, all)
		tells.kill()
		killed.Store(true)
		pushing.Wait()
		for _, p := range all {
			p.heardBy(t, receiver)
		}
		tells.start()
		tells, other = other, tells
	}
}

// pushToEither pushes to two servers in turn until one has been killed, and some more to the
// one that is left.
func (p *tagger) pushToEither(t *testing.T, killed *atomic.Bool, dies, stays *client) {
	for !killed.Load() {
		_ = p.push(t, dies) // it may be dying
		if err := p.push(t, stays); err != nil {
			t.Errorf("pushing: %v", err)
			return
		}
	}
	for range 5 {
		if err := p.push(t, stays); err != nil {
			t.Errorf("pushing: %v", err)
		}
	}
}

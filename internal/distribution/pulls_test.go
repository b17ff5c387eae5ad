package distribution_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// pulls keeps what a handler tells of pulls.
type pulls struct {
	mu  sync.Mutex
	all []string
}

func (p *pulls) Pulled(repo oci.Repository, m oci.Manifest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, repo.String()+"@"+m.Digest.String())
}

// heard fails unless these pulls were told since the last call.
func (p *pulls) heard(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if diff := cmp.Diff(want, p.all); diff != "" {
		t.Fatalf("pulls (-want +got):\n%s", diff)
	}
	p.all = nil
}

func TestAGETOfAManifestIsAPullAndNothingElseIs(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	told := &pulls{}
	f.config.Pulls = told
	f.Config.Handler = distribution.New(f.config)
	content := f.image("demo/app", nil)
	d := digest.FromBytes(content)
	f.pushManifest("demo/app", "v1", content).expect(t, 201, "")
	layer := digest.FromString("a layer of demo/app").String()
	for _, q := range []request{
		{method: "HEAD", path: "/v2/demo/app/manifests/v1"},
		{method: "GET", path: "/v2/demo/app/blobs/" + layer},
		{method: "GET", path: "/v2/demo/app/tags/list"},
		{method: "GET", path: "/v2/demo/app/referrers/" + d.String()},
		{method: "GET", path: "/v2/demo/app/manifests/v2"},
		{method: "GET", path: "/v2/demo/app/manifests/v1", user: "-"},
		{method: "GET", path: "/v2/demo/app/manifests/v1", header: map[string]string{"Range": "bytes=99999-"}},
		{method: "HEAD", path: "/v2/docker-hub/nginx/manifests/latest"},
	} {
		f.do(q)
	}
	told.heard(t)

	f.get("/v2/demo/app/manifests/v1").expect(t, 200, "")
	f.get("/v2/demo/app/manifests/"+d.String()).expect(t, 200, "")
	told.heard(t, "demo/app@"+d.String(), "demo/app@"+d.String())

	cached, _, _ := cache.answer()
	f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, 200, "")
	f.get("/v2/nginx/manifests/latest?ns=docker.io").expect(t, 200, "")
	f.Config.Handler = distribution.NewMirror(f.config, distribution.Mirror{Namespace: "docker.io"})
	f.do(request{method: "HEAD", path: "/v2/nginx/manifests/latest", user: "-"}).expect(t, 200, "")
	f.do(request{method: "GET", path: "/v2/nginx/manifests/latest", user: "-"}).expect(t, 200, "")
	once := "docker-hub/library/nginx@" + cached.Digest.String()
	told.heard(t, once, once, once)
}

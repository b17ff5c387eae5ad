package distribution_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

func TestACacheProjectTakesNoPushes(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	for _, q := range []request{
		{method: "POST", path: "/v2/docker-hub/library/nginx/blobs/uploads/"},
		{method: "PUT", path: "/v2/docker-hub/nginx/manifests/latest", body: []byte("{}")},
		{method: "PATCH", path: "/v2/docker-hub/nginx/blobs/uploads/0b2c8f6e-8c3e-4b0a-9a52-0123456789ab"},
	} {
		if got := f.do(q).expect(t, 405, oci.CodeUnsupported); !bytes.Contains(got.body, []byte("demo/nginx")) {
			t.Errorf("no hosted project is named: %s", got.body)
		}
		q.user = "bob"
		if got := f.do(q).expect(t, 405, oci.CodeUnsupported); !bytes.Contains(got.body, []byte("larder new-project")) {
			t.Errorf("it is not said what to do: %s", got.body)
		}
		q.user = "-"
		f.do(q).expect(t, 401, oci.CodeUnauthorized)
	}
}

func TestStrangersPullFromCachesOnlyFromTheAddressesThatMay(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	f.config.Strangers = func(*http.Request) bool { return false }
	f.Config.Handler = distribution.New(f.config)
	const path = "/v2/docker-hub/library/nginx/manifests/latest"
	f.do(request{method: "GET", path: path, user: "-"}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:docker-hub/library/nginx:pull"`))
	f.do(request{method: "GET", path: path, user: "bob"}).expect(t, 200, "")
	// Nor do they learn from lists what is there.
	if err := f.db.Repositories.SetVisibility(t.Context(), "docker-hub/library/nginx", true, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"/v2/_catalog", "/v1/search?q=nginx"} {
		for user, told := range map[string]bool{"-": false, "bob": true} {
			got := f.do(request{method: "GET", path: list, user: user}).expect(t, 200, "")
			if bytes.Contains(got.body, []byte("docker-hub/library/nginx")) != told {
				t.Errorf("%s tells %q %s", list, user, got.body)
			}
		}
	}
}

func TestACacheTellsHowAnAnswerWasComeBy(t *testing.T) {
	f := newFixture(t)
	cache := f.cache("docker-hub")
	ttl := -5 * time.Second
	cache.served = oci.Served{
		Cache: &oci.CacheStatus{Hit: true, TTL: &ttl, Detail: "stale-if-error"}, Warning: "stale", Age: 65 * time.Second,
	}
	check := func(r response) {
		t.Helper()
		r.header(t, "Cache-Status", "larder; hit; ttl=-5; detail=stale-if-error").header(t, "Warning", `299 - "stale"`).
			header(t, "Age", "65")
	}
	check(f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, 200, ""))
	check(f.do(request{method: "HEAD", path: "/v2/docker-hub/nginx/manifests/latest"}).expect(t, 200, ""))
	for code, status := range map[oci.Code]int{
		oci.CodeManifestUnknown: 404, oci.CodeUpstreamInvalid: 502, oci.CodeUpstreamDown: 503, oci.CodeUpstreamTimeout: 504,
		oci.CodeTooManyRequests: 429, oci.CodeInsufficientSpace: 507, oci.CodeDenied: 403, oci.CodeUnknown: 500,
	} {
		cache.err = &oci.Error{Code: code, Message: "no"}
		check(f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, status, code))
	}
	cache.err = fmt.Errorf("asking: %w", &oci.Error{Code: oci.CodeUnauthorized, Message: "log in"})
	f.do(request{method: "GET", path: "/v2/docker-hub/nginx/manifests/latest", user: "-"}).expect(t, 401, oci.CodeUnauthorized).
		header(t, "WWW-Authenticate", f.challenge(`,scope="repository:docker-hub/library/nginx:pull"`))
	cache.err = fmt.Errorf("a secret of the inside")
	if got := f.get("/v2/docker-hub/nginx/manifests/latest").expect(t, 500, oci.CodeUnknown); bytes.Contains(got.body, []byte("secret")) {
		t.Errorf("a fault of the inside is told outside: %s", got.body)
	}
}

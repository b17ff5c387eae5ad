package distribution_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// mirrored is the fixture with the mirror listener's handler.
func mirrored(t *testing.T, m distribution.Mirror) (*fixture, *cacheProject) {
	t.Helper()
	f := newFixture(t)
	cache := f.cache("docker-hub")
	m.Namespace = "docker.io"
	config := f.config
	config.Authenticator, config.AccessTokens, config.Origin = nil, nil, nil
	f.Config.Handler = distribution.NewMirror(config, m)
	return f, cache
}

func TestTheMirrorServesUpstreamNamesToStrangers(t *testing.T) {
	f, _ := mirrored(t, distribution.Mirror{})
	f.do(request{method: "GET", path: "/v2/", user: "-"}).expect(t, 200, "")
	for _, path := range []string{"/v2/library/nginx/manifests/latest", "/v2/nginx/manifests/latest", "/v2/library/nginx/manifests/latest?ns=docker.io"} {
		f.do(request{method: "GET", path: path, user: "-"}).expect(t, 200, "")
	}
	f.do(request{method: "GET", path: "/v2/library/nginx/manifests/latest?ns=nowhere.example", user: "-"}).expect(t, 404, oci.CodeNameUnknown)
	f.do(request{method: "GET", path: "/v2/library/nginx/manifests/latest", token: "nonsense"}).expect(t, 200, "")
}

func TestTheMirrorNeverChallenges(t *testing.T) {
	f, cache := mirrored(t, distribution.Mirror{})
	cache.err = fmt.Errorf("asking: %w", &oci.Error{Code: oci.CodeUnauthorized, Message: "log in"})
	f.do(request{method: "GET", path: "/v2/acme/secret/manifests/latest", user: "-"}).expect(t, 404, oci.CodeManifestUnknown).header(t, "WWW-Authenticate", "")
	f.get("/v2/acme/secret/blobs/"+"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824").expect(t, 404, oci.CodeBlobUnknown).header(t, "WWW-Authenticate", "")
}

func TestTheMirrorTakesNothing(t *testing.T) {
	f, _ := mirrored(t, distribution.Mirror{})
	for _, q := range []request{
		{method: "PUT", path: "/v2/library/nginx/manifests/latest"}, {method: "DELETE", path: "/v2/library/nginx/manifests/latest"},
		{method: "POST", path: "/v2/library/nginx/blobs/uploads/"}, {method: "GET", path: "/v2/_catalog"},
	} {
		f.do(q).expect(t, 405, oci.CodeUnsupported)
	}
	f.get("/token").expect(t, 404, oci.CodeNameUnknown)
}

func TestTheMirrorServesOnlyTheAddressesThatItIsFor(t *testing.T) {
	f, _ := mirrored(t, distribution.Mirror{Allow: func(*http.Request) bool { return false }})
	for _, path := range []string{"/v2/", "/v2/library/nginx/manifests/latest"} {
		f.get(path).expect(t, 403, oci.CodeDenied)
	}
}

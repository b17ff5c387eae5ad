package distribution_test

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// theSecret is in the blob and in the manifest of the project vault.
const theSecret = "known to the vault alone"

// lair is a project in which everybody may do everything, and nothing anywhere else.
type lair struct{}

func (lair) Allowed(_ context.Context, _ authn.Identity, _ authz.Action, target authz.Target) (bool, error) {
	return target.Project == "lair", nil
}

func (l lair) ForMany() authz.Decide { return l.Allowed }

func (lair) GrantCommand(string, authz.Action, authz.Target) string { return "" }

// Whatever the path is, and however it is written, who may do everything in one project
// neither reads another one's content nor changes what is in it.
func FuzzNoPathReachesAnotherProject(f *testing.F) {
	fx := newFixture(f)
	for _, project := range []string{"lair", "vault"} {
		if err := fx.hosted.EnsureProject(f.Context(), project, "admin"); err != nil {
			f.Fatal(err)
		}
	}
	fx.pushManifest("lair/app", "latest", fx.image("lair/app", nil)).expect(f, 201, "")
	secret := fx.pushBlob("vault/app", []byte(theSecret), digest.SHA256)
	manifest := fx.image("vault/app", func(m *v1.Manifest) { m.Annotations = map[string]string{"about": theSecret} })
	fx.pushManifest("vault/app", "latest", manifest).expect(f, 201, "")
	fx.config.Authorizer = lair{}
	handler := distribution.New(fx.config)

	names := strings.NewReplacer("DIGEST", secret.String(), "MANIFEST", digest.FromBytes(manifest).String())
	for _, path := range []string{
		"/v2/vault/app/manifests/latest", "/v2/lair/../vault/app/manifests/latest", "/v2/lair/..%2fvault/app/manifests/latest",
		"/v2/lair%2f..%2fvault/app/manifests/latest", "/v2//vault/app/manifests/latest", "/v2/vault%2Fapp/manifests/latest",
		"/v2/lair/app/blobs/DIGEST", "/v2/vault/app/blobs/DIGEST", "/v2/lair/app/manifests/MANIFEST", "/v2/vault/app/referrers/MANIFEST",
		"/v2/lair/app/blobs/uploads/?mount=DIGEST&from=vault/app", "/v2/lair/app/blobs/uploads/?mount=DIGEST&from=vault%2Fapp",
		"/v2/lair/app/blobs/uploads/?mount=DIGEST", "/v2/_catalog", "/v2/vault/app/tags/list", "/v2/lair/app/tags/list?last=../vault",
		"/v2/app/manifests/latest?ns=vault", "/v2/vault/app/blobs/uploads/?digest=DIGEST", "/v2/lair/app/manifests/latest?ns=docker.io",
		"/v2/lair/vault/app/manifests/latest", "/v2/lair/app/manifests/..%2F..%2F..%2Fvault%2Fapp%2Fmanifests%2Flatest",
	} {
		for method := range methods() {
			f.Add(uint8(method), path)
		}
	}
	f.Fuzz(func(t *testing.T, method uint8, path string) {
		path = names.Replace(path)
		r := asReceived(methods()[int(method)%len(methods())], path)
		if r == nil {
			return // the server answers what it cannot read by itself
		}
		sent := httptest.NewRecorder()
		handler.ServeHTTP(sent, r.WithContext(t.Context()))
		if strings.Contains(sent.Body.String(), theSecret) {
			t.Fatalf("%s %s is answered with the secret: %d\n%s", r.Method, path, sent.Code, sent.Body)
		}
		if sent.Code == http.StatusCreated && sent.Header().Get("Docker-Content-Digest") == secret.String() {
			t.Fatalf("%s %s took the secret blob into another project", r.Method, path)
		}
		for _, ref := range []oci.Reference{{Tag: "latest"}, {Digest: digest.FromBytes(manifest)}} {
			kept, _, err := fx.hosted.Manifest(t.Context(), oci.Caller{}, "vault/app", ref)
			if err != nil || !bytes.Equal(kept.Content, manifest) {
				t.Fatalf("%s %s changed what is in the vault: %s is %s, %v", r.Method, path, ref.String(), kept.Content, err)
			}
		}
	})
}

func methods() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
}

// asReceived is a request as the server reads it from a connection, nil when it cannot.
func asReceived(method, target string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: registry\r\nContent-Length: 0\r\n\r\n")))
	if err != nil || r.Method != method {
		return nil
	}
	return r
}

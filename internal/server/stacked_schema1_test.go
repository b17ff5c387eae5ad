package server_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/hubsim"
)

const schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

func TestAClientThatCannotReadACachedSchema1ImageIsToldHowToConvertIt(t *testing.T) {
	s := newStack(t, hubsim.Options{}, "")
	d := s.hub.AddManifest("library/nginx", "old", schema1, []byte(`{"schemaVersion":1,"name":"library/nginx","tag":"old"}`))
	accept := func(mediaType string) request {
		return request{path: nginx + "manifests/old", header: map[string]string{"Accept": mediaType}}
	}

	refused := s.send(accept("application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"))
	line := "skopeo copy --format v2s2 --src-tls-verify=false --dest-tls-verify=false docker://" + s.larder.Addr().String() +
		"/docker-hub/library/nginx:old docker://" + s.larder.Addr().String() + "/PROJECT/nginx:old"
	if refused.status != 404 || !strings.Contains(string(refused.body), line) {
		t.Errorf("got %d %s, want 404 and the line\n%s", refused.status, refused.body, line)
	}
	for _, all := range []string{"application/json, " + schema1, "*/*"} {
		if got := s.send(accept(all)); got.status != 200 {
			t.Errorf("a client that accepts %s got %d", all, got.status)
		}
	}
	s.get(nginx+"manifests/old").is(t, d)
}

package pullthrough_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// plain is a registry with one manifest, app:1, for what the simulated Docker Hub
// does not do.
type plain struct {
	manifest []byte
	// hides answers strangers as if nothing were there, with a token service for acme.
	hides bool
	// mute leaves Docker-Content-Digest out.
	mute bool
	// announce is what the Link header of a referrers list or the body would be; "" is 404.
	referrers string
	asked     map[string]int
}

func (p *plain) start(t *testing.T) (address string) {
	t.Helper()
	p.asked = map[string]int{}
	served := httptest.NewServer(p)
	t.Cleanup(served.Close)
	return served.URL
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		user, _, _ := r.BasicAuth()
		_, _ = fmt.Fprintf(w, `{"token": "token-of-%s"}`, user)
		return
	}
	if p.hides {
		switch r.Header.Get("Authorization") {
		case "":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="plain"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
			return
		case "Bearer token-of-":
			http.NotFound(w, r)
			return
		}
	}
	if strings.Contains(r.URL.Path, "/referrers/") && p.referrers != "" {
		_, _ = w.Write([]byte(p.referrers))
		return
	}
	d := digest.FromBytes(p.manifest)
	if !strings.HasSuffix(r.URL.Path, "/manifests/1") && !strings.HasSuffix(r.URL.Path, "/manifests/"+d.String()) {
		http.NotFound(w, r)
		return
	}
	if !p.mute {
		w.Header().Set("Docker-Content-Digest", d.String())
	}
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	_, _ = w.Write(p.manifest)
}

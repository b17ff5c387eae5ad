package distribution_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/oci"
)

// What is shown beside the protocol shows the same repositories to the same callers.
func TestWhatStandsBesideTheProtocolShowsWhatACallerMaySee(t *testing.T) {
	f := newFixture(t)
	f.cache("docker-hub")
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil)).expect(t, 201, "")
	if err := f.db.Repositories.SetVisibility(t.Context(), "docker-hub/library/nginx", true, time.Now()); err != nil {
		t.Fatal(err)
	}
	f.config.Strangers = func(*http.Request) bool { return false }
	handler := distribution.New(f.config)
	as := func(secret string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if secret != "" {
			r.Header.Set("Authorization", "Bearer "+secret)
		}
		return r
	}
	for _, test := range []struct {
		who, name string
		want      bool
	}{
		{"admin", "demo/app", true}, {"bob", "demo/app", false}, {"", "demo/app", false}, {"bob", "demo/none", false},
		{"bob", "docker-hub/library/nginx", true}, {"", "docker-hub/library/nginx", false},
	} {
		see, err := handler.Viewer(httptest.NewRecorder(), as(f.secrets[test.who]))
		if err != nil {
			t.Fatal(err)
		}
		if _, may, err := see(t.Context(), test.name); may != test.want || err != nil {
			t.Errorf("%q sees %s: %v, %v", test.who, test.name, may, err)
		}
	}
	if _, err := handler.Viewer(httptest.NewRecorder(), as("nonsense")); oci.CodeOf(err) != oci.CodeUnauthorized {
		t.Errorf("who shows a wrong credential is taken for a stranger: %v", err)
	}
	// What is public is so wherever one is.
	for name, want := range map[string]bool{"docker-hub/library/nginx": true, "demo/app": false} {
		if _, may, err := handler.Public(t.Context(), name); may != want || err != nil {
			t.Errorf("%s is public: %v, %v", name, may, err)
		}
	}
}

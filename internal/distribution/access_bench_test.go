package distribution_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
)

// BenchmarkAWarmManifest reads a manifest that was read before, with rights from roles and
// with none at all: the difference is what deciding costs.
func BenchmarkAWarmManifest(b *testing.B) {
	f := newFixture(b)
	f.pushManifest("demo/app", "v1", f.image("demo/app", nil))
	f.give("demo", authz.RoleRegistryViewer, authz.User("bob"))
	token := f.issue("bob", scope("demo/app", "pull"))
	for _, access := range []struct {
		name       string
		authorizer distribution.Authorizer
	}{{"roles", f.access}, {"anything goes", permissive{}}, {"roles again", f.access}, {"anything goes again", permissive{}}} {
		b.Run(access.name, func(b *testing.B) {
			f.config.Authorizer = access.authorizer
			f.Config.Handler = distribution.New(f.config)
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, f.URL+"/v2/demo/app/manifests/v1", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			for b.Loop() {
				got, err := f.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, err = io.Copy(io.Discard, got.Body)
				_ = got.Body.Close()
				if err != nil || got.StatusCode != http.StatusOK {
					b.Fatal(got.Status, err)
				}
			}
		})
	}
	b.Run("who it is alone", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := f.auth.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("the decision alone", func(b *testing.B) {
		id := authn.Identity{User: "bob", Groups: []string{authn.GroupAuthenticated}}
		target := authz.Target{Project: "demo", Repository: "demo/app"}
		for b.Loop() {
			if may, err := f.access.Allowed(b.Context(), id, authz.Pull, target); !may || err != nil {
				b.Fatal(may, err)
			}
		}
	})
}

// permissive lets everybody do everything.
type permissive struct{}

func (permissive) Allowed(context.Context, authn.Identity, authz.Action, authz.Target) (bool, error) {
	return true, nil
}

func (p permissive) ForMany() authz.Decide { return p.Allowed }

func (permissive) GrantCommand(string, authz.Action, authz.Target) string { return "" }

package distribution_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/distribution"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// configOf is the digest of an image's configuration.
func configOf(t *testing.T, manifest []byte) string {
	t.Helper()
	return unmarshal[struct{ Config struct{ Digest string } }](t, manifest).Config.Digest
}

func TestAFirstPushMakesThePushersOwnProjectAndNoOther(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	refused := f.do(request{method: "POST", path: "/v2/carol/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	missing := f.do(request{method: "POST", path: "/v2/demo/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	if string(bytes.ReplaceAll(refused.body, []byte("carol"), []byte("demo"))) != string(missing.body) {
		t.Errorf("bob learns which projects there are:\n%s\n%s", refused.body, missing.body)
	}
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")
	if p, err := f.db.Projects.Get(t.Context(), "bob"); err != nil || p.Creator != "bob" {
		t.Errorf("the project is %+v, %v", p, err)
	}
	id := authn.Identity{User: "bob", Groups: []string{authn.GroupAuthenticated}}
	if may, err := f.access.Allowed(t.Context(), id, authz.CreateRoleBinding, authz.Target{Project: "bob"}); !may || err != nil {
		t.Errorf("bob does not own it: %v, %v", may, err)
	}
	if err := f.access.SetSelfProvision(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	f.do(request{method: "POST", path: "/v2/bob/other/blobs/uploads/", user: "bob"}).expect(t, 202, "")
}

func TestTheTokenThatAFirstPushBeginsWithLooksForWhatItPushed(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	answer := f.do(request{method: "GET", path: "/token?scope=repository:bob/app:pull,push&scope=repository:carol/app:pull,push", user: "bob"}).expect(t, 200, "")
	token := unmarshal[struct{ Token, Scope string }](t, answer.body)
	if token.Scope != "repository:bob/app:pull,push" {
		t.Errorf("the token is for %q", token.Scope)
	}
	absent := "/v2/bob/app/blobs/" + digest.FromString("not pushed").String()
	f.do(request{method: "GET", path: "/v2/bob/app/referrers/" + digest.FromString("not pushed").String(), user: "bob"}).expect(t, 404, oci.CodeNameUnknown)
	f.do(request{method: "HEAD", path: absent, token: token.Token}).expect(t, 404, "")
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", token: token.Token}).expect(t, 202, "")
	f.do(request{method: "HEAD", path: absent, token: token.Token}).expect(t, 404, "")
}

// elsewhere is another server's view of the same database.
func (f *fixture) elsewhere() *authz.Authorizer {
	f.t.Helper()
	other, err := authz.Open(f.t.Context(), authz.Config{Roles: f.db.Roles, RoleBindings: f.db.RoleBindings, Projects: f.db.Projects})
	if err != nil {
		f.t.Fatal(err)
	}
	return other
}

// overtaken is asked to make a project that another request of the same push has made in
// the same instant at another server.
type overtaken struct {
	distribution.ProjectMaker
	other distribution.ProjectMaker
}

func (o overtaken) MakeProject(ctx context.Context, id authn.Identity, p metadata.Project) error {
	if err := o.other.MakeProject(ctx, id, p); err != nil {
		return err
	}
	return o.ProjectMaker.MakeProject(ctx, id, p)
}

func TestOneFirstPushThatSendsLayersAtOnceIsNotRefusedInItsOwnProject(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	other := f.elsewhere()
	bob, carol := authn.Identity{User: "bob"}, authn.Identity{User: "carol"}
	f.config.Projects = overtaken{f.access, other}
	f.Config.Handler = distribution.New(f.config)
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")

	// It was made before the request was looked at, and its owner is not known of here yet.
	f = newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	other = f.elsewhere()
	for _, id := range []authn.Identity{bob, carol} {
		if err := other.MakeProject(t.Context(), id, metadata.Project{Name: id.User, Kind: metadata.Hosted, Creator: id.User}); err != nil {
			t.Fatal(err)
		}
	}
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 202, "")
	f.do(request{method: "POST", path: "/v2/carol/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
}

func TestWhereAClusterDecidesARefusedPushIsDecidedOnce(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	carol := authn.Identity{User: "carol"}
	if err := f.access.MakeProject(t.Context(), carol, metadata.Project{Name: "bob", Kind: metadata.Hosted, Creator: carol.User}); err != nil {
		t.Fatal(err)
	}
	f.config.Reload = nil
	f.Config.Handler = distribution.New(f.config)
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
}

// slower is asked to make a project of which somebody else has become the owner meanwhile.
type slower struct{ distribution.ProjectMaker }

func (s slower) MakeProject(ctx context.Context, _ authn.Identity, p metadata.Project) error {
	p.Creator = "carol"
	carol := authn.Identity{User: p.Creator, Groups: []string{authn.GroupAuthenticated}}
	if err := s.ProjectMaker.MakeProject(ctx, carol, p); err != nil {
		return err
	}
	return fmt.Errorf("making it: %w", metadata.ErrExists)
}

func TestWhoIsSlowerToMakeAProjectPushesNothingIntoTheOtherOnes(t *testing.T) {
	f := newFixture(t)
	if err := f.access.SetSelfProvision(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	config := f.config
	config.Projects = slower{f.access}
	f.Config.Handler = distribution.New(config)
	f.do(request{method: "POST", path: "/v2/bob/app/blobs/uploads/", user: "bob"}).expect(t, 403, oci.CodeDenied)
	if exists, err := f.hosted.RepositoryExists(t.Context(), "bob/app"); exists || err != nil {
		t.Errorf("the refused push made the repository: %v, %v", exists, err)
	}
	// An administrator may push there all the same.
	f.do(request{method: "POST", path: "/v2/carols/app/blobs/uploads/"}).expect(t, 202, "")
}

func TestTheFirstPushOfAnAdministratorMakesTheProject(t *testing.T) {
	f := newFixture(t)
	f.pushManifest("new/app", "v1", f.image("new/app", nil)).expect(t, 201, "")
	if p, err := f.db.Projects.Get(t.Context(), "new"); err != nil || p.Creator != "admin" {
		t.Errorf("the project is %+v, %v", p, err)
	}
	f.do(request{method: "POST", path: "/v2/auth/app/blobs/uploads/"}).expect(t, 400, oci.CodeNameInvalid)
	f.do(request{method: "POST", path: "/v2/app/blobs/uploads/"}).expect(t, 400, oci.CodeNameInvalid)
}

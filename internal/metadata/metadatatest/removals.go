package metadatatest

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

// furnish puts something of each kind into a repository.
func furnish(t *testing.T, db *metadata.DB, repository string) {
	t.Helper()
	ctx := t.Context()
	ok(t, db.Blobs.Put(ctx, blob("layer"), repository))
	ok(t, put(ctx, db, repository, manifest("shared"), "latest", "v1"))
	ok(t, put(ctx, db, repository, manifest("of "+repository), "own"))
	ok(t, db.Imports.Set(ctx, metadata.Import{Repository: repository, Tag: "latest", Source: "quay.io/a/b:1", CreatedAt: noon}))
	ok(t, db.Uploads.Create(ctx, metadata.Upload{ID: "upload of " + repository, Repository: repository, State: []byte("state"), CreatedAt: noon, UpdatedAt: noon}))
}

func removals(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a repository goes with all that is in it, and leaves the others": func(t *testing.T, db *metadata.DB) {
			for _, name := range []string{"demo/app", "demo/app2", "hub/app"} {
				furnish(t, db, name)
			}
			gone := must[metadata.Removed](t)(db.Repositories.Delete(t.Context(), metadata.Deletion{Repository: "demo/app"}))
			want := metadata.Upload{ID: "upload of demo/app", Repository: "demo/app", State: []byte("state"), CreatedAt: noon, UpdatedAt: noon}
			same(t, metadata.Removed{Repositories: []string{"demo/app"}, Uploads: []metadata.Upload{want}}, gone)
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
			same(t, nil, must[[]metadata.Import](t)(db.Imports.Of(t.Context(), "demo/app")))
			notFound(t, second(db.Manifests.Held(t.Context(), manifest("of demo/app").Digest)))
			notFound(t, second(db.Uploads.Get(t.Context(), "demo/app", want.ID)))
			notFound(t, second(db.Repositories.Delete(t.Context(), metadata.Deletion{Repository: "demo/app"})))
			for _, name := range []string{"demo/app2", "hub/app"} {
				same(t, []string{"latest", "own", "v1"}, must[[]string](t)(db.Tags.List(t.Context(), name, "", many)))
				ok(t, second(db.Manifests.Get(t.Context(), name, manifest("shared").Digest)))
				ok(t, second(db.Uploads.Get(t.Context(), name, "upload of "+name)))
			}
			ok(t, db.Repositories.Create(t.Context(), "demo/app"))
			same(t, nil, must[[]metadata.TagMove](t)(db.Tags.History(t.Context(), "demo/app", "latest", many)))
			same(t, false, must[bool](t)(db.Blobs.Linked(t.Context(), "demo/app", blob("layer").Digest)))
		},
		"a repository goes with the roles that are about it alone, all or nothing": rolesGoWithTheirRepository,
		"a project goes with all that belongs to it, and leaves the others": func(t *testing.T, db *metadata.DB) {
			ctx := t.Context()
			ok(t, db.Projects.Create(ctx, metadata.Project{Name: "demo-2", Kind: metadata.Hosted, CreatedAt: noon}))
			for _, name := range []string{"demo/app", "demo/team/app", "demo-2/app"} {
				furnish(t, db, name)
			}
			for _, project := range []string{"demo", "demo-2"} {
				robot := "system:serviceaccount:" + project + ":ci"
				ok(t, db.Users.Create(ctx, metadata.User{Name: robot, Project: project, CreatedAt: noon}))
				ok(t, db.Tokens.Create(ctx, metadata.Token{ID: robot, Hash: []byte(robot), User: robot}))
				ok(t, db.Roles.Create(ctx, metadata.Role{Project: project, Name: "puller", Rules: "[]", CreatedAt: noon}))
				ok(t, db.RoleBindings.Create(ctx, metadata.RoleBinding{Project: project, Name: "pullers", RoleKind: "Role", RoleName: "puller", Subjects: "[]", CreatedAt: noon}))
				ok(t, db.Retentions.Set(ctx, metadata.Retention{Project: project, Rules: "{}", UpdatedAt: noon}))
			}
			gone := must[metadata.Removed](t)(db.Projects.Delete(ctx, "demo"))
			same(t, 2, len(gone.Repositories))
			same(t, 2, len(gone.Uploads))
			notFound(t, second(db.Projects.Get(ctx, "demo")))
			notFound(t, second(db.Projects.Delete(ctx, "demo")))
			notFound(t, second(db.Users.Get(ctx, "system:serviceaccount:demo:ci")))
			same(t, []string{"demo-2/app"}, must[[]string](t)(db.Repositories.List(ctx, "", many)))
			ok(t, second(db.Uploads.Get(ctx, "demo-2/app", "upload of demo-2/app")))
			ok(t, second(db.Users.Get(ctx, "system:serviceaccount:demo-2:ci")))
			same(t, 1, len(must[[]metadata.Role](t)(db.Roles.All(ctx))))
			same(t, 1, len(must[[]metadata.RoleBinding](t)(db.RoleBindings.All(ctx))))
			ok(t, second(db.Retentions.Get(ctx, "demo-2")))
			ok(t, db.Projects.Create(ctx, metadata.Project{Name: "demo", Kind: metadata.Hosted, CreatedAt: noon}))
			notFound(t, second(db.Retentions.Get(ctx, "demo")))
		},
		"what is kept keeps everything": func(t *testing.T, db *metadata.DB) {
			kept := errors.New("v1 stays")
			keeps := func(tag string) error {
				if tag == "v1" {
					return kept
				}
				return nil
			}
			refused := func(err error) {
				t.Helper()
				if !errors.Is(err, kept) {
					t.Fatalf("got the error %v, want %v", err, kept)
				}
			}
			furnish(t, db, "demo/app")
			refused(second(db.Repositories.Delete(t.Context(), metadata.Deletion{Repository: "demo/app", Keeps: keeps})))
			refused(db.Manifests.Delete(t.Context(), "demo/app", manifest("shared").Digest, keeps))
			move := metadata.PutManifest{Repository: "demo/app", Manifest: manifest("other"), Tags: []string{"latest", "v1"}, Keeps: keeps}
			refused(db.Manifests.Put(t.Context(), move))
			of := func(tag string) digest.Digest {
				return must[metadata.Tag](t)(db.Tags.Get(t.Context(), "demo/app", tag)).Digest
			}
			same(t, []digest.Digest{manifest("shared").Digest, manifest("shared").Digest}, []digest.Digest{of("latest"), of("v1")})
			move.Tags = []string{"latest", "v2"}
			ok(t, db.Manifests.Put(t.Context(), move))
			again := metadata.PutManifest{Repository: "demo/app", Manifest: manifest("shared"), Tags: []string{"v1"}, Keeps: keeps}
			ok(t, db.Manifests.Put(t.Context(), again))
			ok(t, db.Manifests.Delete(t.Context(), "demo/app", manifest("of demo/app").Digest, keeps))
		},
	})
}

func quotas(t *testing.T, open func(t *testing.T) *metadata.DB) {
	limit := func(t *testing.T, db *metadata.DB, project string, quota int64) {
		p := must[metadata.Project](t)(db.Projects.Get(t.Context(), project))
		p.Quota = quota
		ok(t, db.Projects.Update(t.Context(), p))
	}
	over := func(t *testing.T, err error, want metadata.QuotaError) {
		t.Helper()
		got, is := errors.AsType[*metadata.QuotaError](err)
		if !is {
			t.Fatalf("got the error %v, want a *QuotaError", err)
		}
		same(t, want, *got)
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a project takes no more than its quota, to the byte": func(t *testing.T, db *metadata.DB) {
			limit(t, db, "demo", 9)
			ok(t, db.Blobs.Put(t.Context(), blob("three"), "demo/app"))
			over(t, db.Blobs.Put(t.Context(), blob("fifth"), "demo/other"), metadata.QuotaError{Project: "demo", Quota: 9, Would: 10})
			notFound(t, second(db.Blobs.Held(t.Context(), blob("fifth").Digest)))
			ok(t, db.Blobs.Put(t.Context(), blob("four"), "demo/other"))
			same(t, int64(9), must[int64](t)(db.Projects.Used(t.Context(), "demo")))
		},
		"a blob that the project has takes nothing": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), blob("three"), "demo/app"))
			limit(t, db, "demo", 1)
			ok(t, db.Blobs.Put(t.Context(), blob("three"), "demo/app"))
			ok(t, db.Blobs.Link(t.Context(), "demo/other", blob("three").Digest))
			same(t, true, must[bool](t)(db.Projects.HoldsBlob(t.Context(), "demo", blob("three").Digest)))
			same(t, false, must[bool](t)(db.Projects.HoldsBlob(t.Context(), "hub", blob("three").Digest)))
		},
		"a link is held to the quota as well": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), blob("three"), "hub/app"))
			limit(t, db, "demo", 4)
			over(t, db.Blobs.Link(t.Context(), "demo/app", blob("three").Digest), metadata.QuotaError{Project: "demo", Quota: 4, Would: 5})
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
		},
		"what a cache holds is not counted": func(t *testing.T, db *metadata.DB) {
			limit(t, db, "hub", 1)
			ok(t, db.Blobs.Put(t.Context(), blob("three"), "hub/app"))
		},
		"pushes at once do not go over the quota together": func(t *testing.T, db *metadata.DB) {
			limit(t, db, "demo", 12)
			texts := []string{"aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee", "fffff"}
			errs := make(chan error, len(texts))
			for _, text := range texts {
				go func() { errs <- db.Blobs.Put(t.Context(), blob(text), "demo/"+text) }()
			}
			stored := 0
			for range texts {
				err := <-errs
				if _, refused := errors.AsType[*metadata.QuotaError](err); err != nil && !refused {
					t.Error(err)
				}
				if err == nil {
					stored++
				}
			}
			same(t, 2, stored)
			same(t, int64(10), must[int64](t)(db.Projects.Used(t.Context(), "demo")))
		},
	})
}

func rolesGoWithTheirRepository(t *testing.T, db *metadata.DB) {
	ctx := t.Context()
	bind := func(project, name, kind, role string) {
		t.Helper()
		ok(t, db.RoleBindings.Create(ctx, metadata.RoleBinding{Project: project, Name: name, RoleKind: kind, RoleName: role, Subjects: "[]", CreatedAt: noon}))
	}
	for _, project := range []string{"demo", "hub"} {
		for _, role := range []string{"app reader", "app writer", "other reader"} {
			ok(t, db.Roles.Create(ctx, metadata.Role{Project: project, Name: role, Rules: "[]", CreatedAt: noon}))
			bind(project, "binds "+role, "Role", role)
		}
		bind(project, "binds another of that name", "ClusterRole", "app reader")
	}
	left := func() (roles, bindings []string) {
		t.Helper()
		for _, r := range must[[]metadata.Role](t)(db.Roles.Of(ctx, "demo")) {
			roles = append(roles, r.Name)
		}
		for _, b := range must[[]metadata.RoleBinding](t)(db.RoleBindings.Of(ctx, "demo")) {
			bindings = append(bindings, b.Name)
		}
		return roles, bindings
	}
	furnish(t, db, "demo/app")
	kept := errors.New("it stays")
	d := metadata.Deletion{Repository: "demo/app", Roles: []string{"app reader", "app writer"}, Keeps: func(string) error { return kept }}
	if err := second(db.Repositories.Delete(ctx, d)); !errors.Is(err, kept) {
		t.Fatalf("got the error %v, want %v", err, kept)
	}
	roles, bindings := left()
	same(t, []string{"app reader", "app writer", "other reader"}, roles)
	same(t, 4, len(bindings))
	d.Keeps = nil
	ok(t, second(db.Repositories.Delete(ctx, d)))
	roles, bindings = left()
	same(t, []string{"other reader"}, roles)
	same(t, []string{"binds another of that name", "binds other reader"}, bindings)
	same(t, 3, len(must[[]metadata.Role](t)(db.Roles.Of(ctx, "hub"))))
	same(t, 4, len(must[[]metadata.RoleBinding](t)(db.RoleBindings.Of(ctx, "hub"))))
}

package metadatatest

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
)

func projects(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a project comes back as it was created, after reopening too": func(t *testing.T, db *metadata.DB) {
			want := metadata.Project{Name: "team", Kind: metadata.Hosted, Description: "Ours — 我们的", Creator: "alice", CreatedAt: noon}
			ok(t, db.Projects.Create(t.Context(), want))
			same(t, want, must[metadata.Project](t)(db.Projects.Get(t.Context(), "team")))
			ok(t, db.Close())
			same(t, want, must[metadata.Project](t)(open(t).Projects.Get(t.Context(), "team")))
		},
		"a time in another zone comes back in UTC": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Projects.Create(t.Context(), metadata.Project{Name: "team", Kind: metadata.Hosted, CreatedAt: noon.In(time.FixedZone("", 3600))}))
			same(t, noon, must[metadata.Project](t)(db.Projects.Get(t.Context(), "team")).CreatedAt)
		},
		"a zero time stays zero": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Projects.Create(t.Context(), metadata.Project{Name: "team", Kind: metadata.Hosted}))
			same(t, time.Time{}, must[metadata.Project](t)(db.Projects.Get(t.Context(), "team")).CreatedAt)
		},
		"a name is given once": func(t *testing.T, db *metadata.DB) {
			alreadyThere(t, db.Projects.Create(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Hosted, Creator: "mallory"}))
			same(t, "", must[metadata.Project](t)(db.Projects.Get(t.Context(), "demo")).Creator)
		},
		"a project of an unknown kind is refused": func(t *testing.T, db *metadata.DB) {
			if err := db.Projects.Create(t.Context(), metadata.Project{Name: "team", Kind: "borrowed"}); err == nil {
				t.Fatal("a project of kind borrowed was created")
			}
		},
		"ensuring a project twice leaves the first": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Projects.Ensure(t.Context(), metadata.Project{Name: "quay", Kind: metadata.Cache, CreatedAt: noon}))
			ok(t, db.Projects.Ensure(t.Context(), metadata.Project{Name: "quay", Kind: metadata.Cache, CreatedAt: noon.Add(time.Hour)}))
			same(t, noon, must[metadata.Project](t)(db.Projects.Get(t.Context(), "quay")).CreatedAt)
		},
		"ensuring a project of another kind is refused": func(t *testing.T, db *metadata.DB) {
			alreadyThere(t, db.Projects.Ensure(t.Context(), metadata.Project{Name: "demo", Kind: metadata.Cache}))
		},
		"what a project is limited to and described as is changed": func(t *testing.T, db *metadata.DB) {
			want := must[metadata.Project](t)(db.Projects.Get(t.Context(), "demo"))
			want.Description, want.Quota, want.ImmutableTags = "Ours", 1<<40, []string{"v*", "release-*"}
			ok(t, db.Projects.Update(t.Context(), want))
			same(t, want, must[metadata.Project](t)(db.Projects.Get(t.Context(), "demo")))
			notFound(t, db.Projects.Update(t.Context(), metadata.Project{Name: "nowhere"}))
		},
		"a project's blobs are measured once each": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Blobs.Put(t.Context(), blob("three"), "demo/app", "demo/copy", "hub/app"))
			ok(t, db.Blobs.Put(t.Context(), blob("four"), "demo/copy"))
			same(t, int64(9), must[int64](t)(db.Projects.Used(t.Context(), "demo")))
			same(t, int64(5), must[int64](t)(db.Projects.Used(t.Context(), "hub")))
			same(t, int64(0), must[int64](t)(db.Projects.Used(t.Context(), "nowhere")))
		},
		"a project that is not there is not found": func(t *testing.T, db *metadata.DB) {
			notFound(t, second(db.Projects.Get(t.Context(), "team")))
		},
		"projects are listed in pages by name": func(t *testing.T, db *metadata.DB) {
			names := func(after string, limit int) (all []string) {
				for _, p := range must[[]metadata.Project](t)(db.Projects.List(t.Context(), after, limit)) {
					all = append(all, p.Name)
				}
				return all
			}
			same(t, []string{"demo"}, names("", 1))
			same(t, []string{"hub"}, names("demo", 1))
			same(t, nil, names("hub", 1))
		},
	})
}

func repositories(t *testing.T, open func(t *testing.T) *metadata.DB) {
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a repository may be created again and again": func(t *testing.T, db *metadata.DB) {
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
			ok(t, db.Repositories.Create(t.Context(), "demo/app"))
			ok(t, db.Repositories.Create(t.Context(), "demo/app"))
			same(t, true, must[bool](t)(db.Repositories.Exists(t.Context(), "demo/app")))
			same(t, []string{"demo/app"}, must[[]string](t)(db.Repositories.List(t.Context(), "", many)))
		},
		"what is said of a repository is changed": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Repositories.Create(t.Context(), "demo/app"))
			ok(t, db.Repositories.Describe(t.Context(), "demo/app", "Our app", "# App"))
			got := must[metadata.Repository](t)(db.Repositories.Get(t.Context(), "demo/app"))
			recent(t, got.CreatedAt)
			same(t, metadata.Repository{Name: "demo/app", Description: "Our app", Readme: "# App", CreatedAt: got.CreatedAt}, got)
			notFound(t, second(db.Repositories.Get(t.Context(), "demo/none")))
			notFound(t, db.Repositories.Describe(t.Context(), "demo/none", "", ""))
		},
		"short names mean what a repository has, where it is looked up": func(t *testing.T, db *metadata.DB) {
			image := manifest("one")
			ok(t, put(t.Context(), db, "demo/app", image, "1"))
			tagged, digested := metadata.LocalImage{Repository: "demo/app", Tag: "1"}, metadata.LocalImage{Repository: "demo/app", Digest: image.Digest}
			notFound(t, second(db.Repositories.Local(t.Context(), tagged)))
			notFound(t, second(db.Repositories.Local(t.Context(), digested)))
			same(t, image.Digest, must[digest.Digest](t)(db.Repositories.Local(t.Context(), metadata.LocalImage{Repository: "demo/app", Tag: "1", Always: true})))

			ok(t, db.Repositories.SetLocalLookup(t.Context(), "demo/app", true))
			same(t, true, must[metadata.Repository](t)(db.Repositories.Get(t.Context(), "demo/app")).LocalLookup)
			same(t, image.Digest, must[digest.Digest](t)(db.Repositories.Local(t.Context(), tagged)))
			same(t, image.Digest, must[digest.Digest](t)(db.Repositories.Local(t.Context(), digested)))
			notFound(t, second(db.Repositories.Local(t.Context(), metadata.LocalImage{Repository: "demo/app", Tag: "2"})))
			notFound(t, second(db.Repositories.Local(t.Context(), metadata.LocalImage{Repository: "demo/app", Digest: manifest("two").Digest})))
			notFound(t, second(db.Repositories.Local(t.Context(), metadata.LocalImage{Repository: "demo/none", Tag: "1", Always: true})))

			ok(t, db.Repositories.SetLocalLookup(t.Context(), "demo/app", false))
			notFound(t, second(db.Repositories.Local(t.Context(), tagged)))
			notFound(t, db.Repositories.SetLocalLookup(t.Context(), "demo/none", true))
		},
		"a repository needs its project": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Repositories.Create(t.Context(), "nobody/app"))
			same(t, false, must[bool](t)(db.Repositories.Exists(t.Context(), "nobody/app")))
		},
		"repositories are listed in pages, bytewise by name": func(t *testing.T, db *metadata.DB) {
			// A sorting that knows languages would skip the signs and mix the two.
			want := []string{"demo/a", "demo/a-b", "demo/a.b", "demo/a/b", "demo/a0", "demo/a_b", "demo/ab", "hub/library/nginx"}
			for _, name := range []string{"hub/library/nginx", "demo/ab", "demo/a_b", "demo/a0", "demo/a/b", "demo/a.b", "demo/a-b", "demo/a"} {
				ok(t, db.Repositories.Create(t.Context(), name))
			}
			same(t, want, must[[]string](t)(db.Repositories.List(t.Context(), "", many)))
			same(t, want[3:5], must[[]string](t)(db.Repositories.List(t.Context(), "demo/a.b", 2)))
			same(t, want[:7], must[[]string](t)(db.Repositories.ListProject(t.Context(), "demo", "", many)))
			same(t, want[1:3], must[[]string](t)(db.Repositories.ListProject(t.Context(), "demo", "demo/a", 2)))
			same(t, nil, must[[]string](t)(db.Repositories.ListProject(t.Context(), "dem", "", many)))
		},
		"the visibility of a repository is unknown at first": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Repositories.Create(t.Context(), "hub/library/nginx"))
			same(t, metadata.Visibility{}, must[metadata.Visibility](t)(db.Repositories.Visibility(t.Context(), "hub/library/nginx")))
			same(t, metadata.Visibility{}, must[metadata.Visibility](t)(db.Repositories.Visibility(t.Context(), "hub/never/seen")))
		},
		"the last visibility stands, and makes the repository": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Repositories.SetVisibility(t.Context(), "hub/acme/app", true, noon))
			same(t, metadata.Visibility{Public: true, Known: true, CheckedAt: noon}, must[metadata.Visibility](t)(db.Repositories.Visibility(t.Context(), "hub/acme/app")))
			ok(t, db.Repositories.SetVisibility(t.Context(), "hub/acme/app", false, noon.Add(time.Hour)))
			same(t, metadata.Visibility{Known: true, CheckedAt: noon.Add(time.Hour)}, must[metadata.Visibility](t)(db.Repositories.Visibility(t.Context(), "hub/acme/app")))
			same(t, true, must[bool](t)(db.Repositories.Exists(t.Context(), "hub/acme/app")))
			notFound(t, db.Repositories.SetVisibility(t.Context(), "nobody/app", true, noon))
		},
	})
}

package metadatatest

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

func groups(t *testing.T, open func(t *testing.T) *metadata.DB) {
	devs := metadata.Group{Name: "devs", Creator: "admin", CreatedAt: noon}
	with := func(run func(t *testing.T, db *metadata.DB)) func(t *testing.T, db *metadata.DB) {
		return func(t *testing.T, db *metadata.DB) {
			for _, name := range []string{"bob", "alice"} {
				ok(t, db.Users.Create(t.Context(), metadata.User{Name: name}))
			}
			ok(t, db.Groups.Create(t.Context(), devs))
			run(t, db)
		}
	}
	bobs := func(t *testing.T, db *metadata.DB) []string {
		return must[metadata.User](t)(db.Users.Get(t.Context(), "bob")).Groups
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a group has its members, and they have it": with(func(t *testing.T, db *metadata.DB) {
			for _, name := range []string{"bob", "alice", "bob"} {
				ok(t, db.Groups.AddMember(t.Context(), "devs", name))
			}
			want := devs
			want.Members = []string{"alice", "bob"}
			same(t, want, must[metadata.Group](t)(db.Groups.Get(t.Context(), "devs")))
			same(t, []string{"devs"}, bobs(t, db))
			ok(t, db.Groups.RemoveMember(t.Context(), "devs", "bob"))
			notFound(t, db.Groups.RemoveMember(t.Context(), "devs", "bob"))
			same(t, nil, bobs(t, db))
		}),
		"a group and its members must exist": with(func(t *testing.T, db *metadata.DB) {
			alreadyThere(t, db.Groups.Create(t.Context(), devs))
			notFound(t, db.Groups.AddMember(t.Context(), "devs", "carol"))
			notFound(t, db.Groups.AddMember(t.Context(), "ops", "bob"))
			notFound(t, second(db.Groups.Get(t.Context(), "ops")))
			notFound(t, db.Groups.Delete(t.Context(), "ops"))
		}),
		"who leaves takes the memberships along, and so does the group": with(func(t *testing.T, db *metadata.DB) {
			ok(t, db.Groups.AddMember(t.Context(), "devs", "alice"))
			ok(t, db.Groups.AddMember(t.Context(), "devs", "bob"))
			ok(t, db.Users.Delete(t.Context(), "alice"))
			same(t, []string{"bob"}, must[metadata.Group](t)(db.Groups.Get(t.Context(), "devs")).Members)
			ok(t, db.Groups.Delete(t.Context(), "devs"))
			same(t, nil, bobs(t, db))
		}),
		"groups that an issuer claims are replaced, and are there beside the others": with(func(t *testing.T, db *metadata.DB) {
			claimed := func(until time.Time, groups ...string) metadata.User {
				t.Helper()
				ok(t, db.Users.ClaimGroups(t.Context(), "bob", groups, until))
				return must[metadata.User](t)(db.Users.Get(t.Context(), "bob"))
			}
			ok(t, db.Groups.AddMember(t.Context(), "devs", "bob"))
			same(t, []string{"devs", "ops"}, claimed(noon.Add(time.Hour), "ops", "devs", "ops").GroupsAt(noon))
			same(t, []string{"devs", "qa"}, claimed(noon.Add(time.Hour), "qa").GroupsAt(noon))
			same(t, []string{"devs"}, claimed(noon.Add(time.Hour)).GroupsAt(noon))
			notFound(t, db.Users.ClaimGroups(t.Context(), "carol", nil, noon))
		}),
		"groups that an issuer claims hold until the login ends": with(func(t *testing.T, db *metadata.DB) {
			ok(t, db.Groups.AddMember(t.Context(), "devs", "bob"))
			ok(t, db.Users.ClaimGroups(t.Context(), "bob", []string{"qa"}, noon))
			bob := must[metadata.User](t)(db.Users.Get(t.Context(), "bob"))
			same(t, []string{"devs", "qa"}, bob.GroupsAt(noon.Add(-time.Microsecond)))
			same(t, []string{"devs"}, bob.GroupsAt(noon))
			same(t, nil, must[metadata.User](t)(db.Users.Get(t.Context(), "alice")).GroupsAt(noon))
		}),
		"groups are listed in pages": with(func(t *testing.T, db *metadata.DB) {
			ops := metadata.Group{Name: "ops", CreatedAt: noon}
			ok(t, db.Groups.Create(t.Context(), ops))
			same(t, []metadata.Group{devs}, must[[]metadata.Group](t)(db.Groups.List(t.Context(), "", 1)))
			same(t, []metadata.Group{ops}, must[[]metadata.Group](t)(db.Groups.List(t.Context(), "devs", many)))
		}),
	})
}

func roles(t *testing.T, open func(t *testing.T) *metadata.DB) {
	puller := metadata.Role{Project: "demo", Name: "puller", Rules: `[{"verbs":["get"]}]`, Creator: "alice", CreatedAt: noon}
	anywhere := metadata.Role{Name: "puller", Rules: `[]`, Creator: "admin", CreatedAt: noon}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"roles of a project and of all projects are told apart": func(t *testing.T, db *metadata.DB) {
			same(t, nil, must[[]metadata.Role](t)(db.Roles.All(t.Context())))
			ok(t, db.Roles.Create(t.Context(), puller))
			ok(t, db.Roles.Create(t.Context(), anywhere))
			alreadyThere(t, db.Roles.Create(t.Context(), puller))
			same(t, []metadata.Role{anywhere, puller}, must[[]metadata.Role](t)(db.Roles.All(t.Context())))
			same(t, []metadata.Role{puller}, must[[]metadata.Role](t)(db.Roles.Of(t.Context(), "demo")))
			same(t, []metadata.Role{anywhere}, must[[]metadata.Role](t)(db.Roles.Of(t.Context(), "")))
			ok(t, db.Roles.Delete(t.Context(), "", "puller"))
			notFound(t, db.Roles.Delete(t.Context(), "", "puller"))
			same(t, []metadata.Role{puller}, must[[]metadata.Role](t)(db.Roles.All(t.Context())))
		},
		"the rules of a role are replaced": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Roles.Create(t.Context(), puller))
			ok(t, db.Roles.SetRules(t.Context(), "demo", "puller", "[]"))
			want := puller
			want.Rules = "[]"
			same(t, []metadata.Role{want}, must[[]metadata.Role](t)(db.Roles.All(t.Context())))
			notFound(t, db.Roles.SetRules(t.Context(), "", "puller", "[]"))
		},
		"a role needs its project": func(t *testing.T, db *metadata.DB) {
			notFound(t, db.Roles.Create(t.Context(), metadata.Role{Project: "nowhere", Name: "puller"}))
		},
	})
}

func roleBindings(t *testing.T, open func(t *testing.T) *metadata.DB) {
	all := metadata.RoleBinding{
		Project: "demo", Name: "pullers", RoleKind: "ClusterRole", RoleName: "system:image-puller",
		Subjects: `[{"kind":"User","name":"bob"}]`, Creator: "alice", CreatedAt: noon,
	}
	read := func(t *testing.T, db *metadata.DB) []metadata.RoleBinding {
		return must[[]metadata.RoleBinding](t)(db.RoleBindings.All(t.Context()))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"a binding comes back as created, and is deleted once": func(t *testing.T, db *metadata.DB) {
			ok(t, db.RoleBindings.Create(t.Context(), all))
			alreadyThere(t, db.RoleBindings.Create(t.Context(), all))
			same(t, []metadata.RoleBinding{all}, read(t, db))
			same(t, []metadata.RoleBinding{all}, must[[]metadata.RoleBinding](t)(db.RoleBindings.Of(t.Context(), "demo")))
			same(t, nil, must[[]metadata.RoleBinding](t)(db.RoleBindings.Of(t.Context(), "other")))
			ok(t, db.RoleBindings.Delete(t.Context(), "demo", "pullers"))
			notFound(t, db.RoleBindings.Delete(t.Context(), "demo", "pullers"))
			same(t, nil, read(t, db))
		},
		"subjects are replaced by who has seen the last ones": func(t *testing.T, db *metadata.DB) {
			ok(t, db.RoleBindings.Create(t.Context(), all))
			ok(t, db.RoleBindings.SetSubjects(t.Context(), "demo", "pullers", all.Subjects, "[]"))
			alreadyThere(t, db.RoleBindings.SetSubjects(t.Context(), "demo", "pullers", all.Subjects, "[1]"))
			want := all
			want.Subjects = "[]"
			same(t, []metadata.RoleBinding{want}, read(t, db))
			ok(t, db.RoleBindings.DeleteUnused(t.Context(), "demo", "pullers"))
			ok(t, db.RoleBindings.Create(t.Context(), all))
			notFound(t, db.RoleBindings.DeleteUnused(t.Context(), "demo", "pullers"))
		},
		"a project is made with its owner, or not at all": func(t *testing.T, db *metadata.DB) {
			mine := metadata.Project{Name: "mine", Kind: metadata.Hosted, Creator: "alice", CreatedAt: noon}
			owner := metadata.RoleBinding{Name: "admin", RoleKind: "ClusterRole", RoleName: "admin", Subjects: "[]", Creator: "alice", CreatedAt: noon}
			ok(t, db.Projects.CreateOwned(t.Context(), mine, owner))
			alreadyThere(t, db.Projects.CreateOwned(t.Context(), mine, owner))
			owner.Project = "mine"
			same(t, []metadata.RoleBinding{owner}, read(t, db))
			notFound(t, db.RoleBindings.Create(t.Context(), metadata.RoleBinding{Project: "nowhere", Name: "x", RoleKind: "Role"}))
		},
	})
}

func audit(t *testing.T, open func(t *testing.T) *metadata.DB) {
	entry := func(hours int, project string) metadata.AuditEntry {
		return metadata.AuditEntry{
			At: noon.Add(time.Duration(hours) * time.Hour), Actor: "alice", Address: "192.0.2.1", Action: "create rolebindings",
			Project: project, Object: "pullers", Result: "done", Detail: "system:anonymous",
		}
	}
	hours := func(all []metadata.AuditEntry) []int {
		var found []int
		for _, e := range all {
			found = append(found, int(e.At.Sub(noon)/time.Hour))
		}
		return found
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"entries are read in pages, the newest first": func(t *testing.T, db *metadata.DB) {
			for i, project := range []string{"demo", "", "demo"} {
				ok(t, db.Audit.Append(t.Context(), entry(i, project)))
			}
			first := must[[]metadata.AuditEntry](t)(db.Audit.List(t.Context(), metadata.AuditQuery{Limit: 2}))
			same(t, []int{2, 1}, hours(first))
			want := entry(2, "demo")
			want.ID = first[0].ID
			same(t, want, first[0])
			same(t, []int{0}, hours(must[[]metadata.AuditEntry](t)(db.Audit.List(t.Context(), metadata.AuditQuery{Before: first[1].ID, Limit: 2}))))
			same(t, []int{2, 0}, hours(must[[]metadata.AuditEntry](t)(db.Audit.List(t.Context(), metadata.AuditQuery{Project: "demo", Limit: many}))))
			since := metadata.AuditQuery{Since: noon.Add(time.Hour), Limit: many}
			same(t, []int{2, 1}, hours(must[[]metadata.AuditEntry](t)(db.Audit.List(t.Context(), since))))
		},
		"old entries are removed": func(t *testing.T, db *metadata.DB) {
			for i := range 3 {
				ok(t, db.Audit.Append(t.Context(), entry(i, "demo")))
			}
			left := func() []int {
				return hours(must[[]metadata.AuditEntry](t)(db.Audit.List(t.Context(), metadata.AuditQuery{Limit: many})))
			}
			same(t, int64(1), must[int64](t)(db.Audit.DeleteBefore(t.Context(), noon.Add(2*time.Hour), 1)))
			same(t, []int{2, 1}, left())
			same(t, int64(1), must[int64](t)(db.Audit.DeleteBefore(t.Context(), noon.Add(2*time.Hour), many)))
			same(t, []int{2}, left())
		},
	})
}

func imports(t *testing.T, open func(t *testing.T) *metadata.DB) {
	once := metadata.Import{Repository: "demo/centos", Tag: "6", Source: "docker.io/library/centos:6", Creator: "alice", CreatedAt: noon}
	followed := metadata.Import{
		Repository: "demo/centos", Tag: "7", Source: "docker.io/library/centos:7", Scheduled: true, Creator: "alice", Member: true, CreatedAt: noon,
		CheckedAt: noon, ImportedAt: noon, Digest: manifest("seven").Digest, Reason: "Unauthorized", Message: "no password",
	}
	of := func(t *testing.T, db *metadata.DB) []metadata.Import {
		return must[[]metadata.Import](t)(db.Imports.Of(t.Context(), "demo/centos"))
	}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"an import comes back as it was set": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Imports.Set(t.Context(), followed))
			ok(t, db.Imports.Set(t.Context(), once))
			same(t, []metadata.Import{once, followed}, of(t, db))
			again := once
			again.Source = "quay.io/centos/centos:6"
			ok(t, db.Imports.Set(t.Context(), again))
			same(t, []metadata.Import{again, followed}, of(t, db))
			again.Creator, again.Member = "carol", true
			ok(t, db.Imports.Set(t.Context(), again))
			same(t, []metadata.Import{again, followed}, of(t, db))
			again.Member = false
			ok(t, db.Imports.Set(t.Context(), again))
			same(t, []metadata.Import{again, followed}, of(t, db))
			ok(t, db.Imports.Delete(t.Context(), "demo/centos", "6"))
			ok(t, db.Imports.Delete(t.Context(), "demo/centos", "6"))
			same(t, []metadata.Import{followed}, of(t, db))
			notFound(t, db.Imports.Set(t.Context(), metadata.Import{Repository: "nowhere/app", Tag: "1"}))
		},
		"an import is due while its source is followed and was not asked lately": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Imports.Set(t.Context(), followed))
			ok(t, db.Imports.Set(t.Context(), once))
			same(t, nil, must[[]metadata.Import](t)(db.Imports.Due(t.Context(), noon, many)))
			later := noon.Add(time.Hour)
			same(t, []metadata.Import{followed}, must[[]metadata.Import](t)(db.Imports.Due(t.Context(), later, many)))
			tried := followed
			tried.CheckedAt, tried.ImportedAt, tried.Reason, tried.Message = later, later, "", ""
			ok(t, db.Imports.Tried(t.Context(), tried))
			same(t, nil, must[[]metadata.Import](t)(db.Imports.Due(t.Context(), later, many)))
			same(t, []metadata.Import{once, tried}, of(t, db))
			tried.Source = "elsewhere"
			notFound(t, db.Imports.Tried(t.Context(), tried))
		},
	})
}

package authz_test

import (
	"fmt"
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// BenchmarkAllowed decides for callers of several kinds among ten thousand projects.
func BenchmarkAllowed(b *testing.B) {
	w := newWorld(b)
	w.manyProjects(10_000)
	devs := person("dora", "devs", "ops", "team-a", "team-b", "team-c", "team-d")
	for name, test := range map[string]struct {
		id     authn.Identity
		action authz.Action
		target authz.Target
		want   bool
	}{
		"an owner":                {person("user-7000"), authz.Push, repository("project-7000/app"), true},
		"a member of many groups": {devs, authz.Pull, repository("project-7000/app"), true},
		"one who may not":         {devs, authz.Push, repository("project-7000/app"), false},
		"a stranger":              {authn.Anonymous(), authz.Pull, repository("project-7000/app"), false},
		"one repository":          {authn.Anonymous(), authz.Pull, repository("project-7000/centos"), true},
		"a service account":       {robot("project-7000", "ci"), authz.Pull, repository("project-7000/app"), true},
		"an administrator":        {admin(), authz.Push, repository("project-7000/app"), true},
		"from a cache":            {authn.Anonymous(), authz.Pull, authz.Target{Project: "docker-hub", Repository: "docker-hub/library/nginx", Kind: metadata.Cache}, true},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if may, err := w.Allowed(b.Context(), test.id, test.action, test.target); may != test.want || err != nil {
					b.Fatal(may, err)
				}
			}
		})
	}
}

// BenchmarkGrant changes one of ten thousand projects.
func BenchmarkGrant(b *testing.B) {
	w := newWorld(b, "project-7000")
	w.manyProjects(10_000)
	for i := 0; b.Loop(); i++ {
		w.give("project-7000", authz.RoleImagePuller, authz.User(fmt.Sprintf("user-%d", i%100)))
	}
}

// manyProjects fills an authorizer's memory without a database, which would take longer.
func (w *world) manyProjects(n int) {
	w.t.Helper()
	var roles []metadata.Role
	var bindings []metadata.RoleBinding
	bind := func(project, kind, role, subject string) {
		bindings = append(bindings, metadata.RoleBinding{Project: project, Name: role, RoleKind: kind, RoleName: role, Subjects: subject})
	}
	for i := range n {
		p := fmt.Sprintf("project-%d", i)
		roles = append(roles, metadata.Role{Project: p, Name: "my-image-puller", Rules: `[{"verbs":["get"],"apiGroups":["image.openshift.io"],"resources":["imagestreams/layers"],"resourceNames":["centos"]}]`})
		bind(p, authz.KindClusterRole, "admin", fmt.Sprintf(`[{"kind":"User","name":"user-%d"}]`, i))
		bind(p, authz.KindClusterRole, "registry-viewer", `[{"kind":"Group","name":"team-d"}]`)
		bind(p, authz.KindRole, "my-image-puller", `[{"kind":"User","name":"system:anonymous"}]`)
	}
	w.Authorizer = w.inMemory(roles, bindings)
}

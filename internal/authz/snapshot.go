package authz

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
)

// Kinds of roles that a binding can refer to.
const (
	KindRole        = "Role"        // of the binding's project
	KindClusterRole = "ClusterRole" // of all projects
)

// Role is a set of rights with a name.
type Role struct {
	Project   string // "" for one that can be bound in every project
	Name      string
	Rules     []rbacv1.PolicyRule
	Summary   string // of a built-in role
	Builtin   bool
	Creator   string
	CreatedAt time.Time
	matcher   *role
}

// Binding gives the rights of a role to subjects: in one project or, without a project, in
// all of them and in what belongs to none.
type Binding struct {
	Project   string
	Name      string
	RoleKind  string
	RoleName  string
	Subjects  []Subject
	Builtin   bool // it is not kept, and nobody can remove it
	Creator   string
	CreatedAt time.Time
	role      *Role  // nil where there is none of that name
	stored    string // the subjects as they are kept
}

// snapshot is who may do what at one moment. It is never changed.
type snapshot struct {
	mark     metadata.Mark
	cluster  *scope            // what holds everywhere
	caches   *scope            // what holds in each cache project
	projects map[string]*scope // the rest
}

// scope is the roles and bindings of one project, or of all.
type scope struct {
	roles         map[string]*Role
	bindings      []*Binding // ordered by name
	users, groups map[string][]*Binding
}

// compile makes a scope of roles and bindings. Roles of all projects are looked for in
// cluster, or in the scope itself when that is nil. What cannot be read gives nobody
// anything, and is told in the error; the scope is good all the same.
func compile(cluster *scope, roles []*Role, bindings []*Binding) *scope {
	s := &scope{roles: make(map[string]*Role, len(roles)), bindings: bindings, users: map[string][]*Binding{}, groups: map[string][]*Binding{}}
	for _, r := range roles {
		s.roles[r.Name] = r
	}
	if cluster == nil {
		cluster = s
	}
	slices.SortFunc(bindings, func(a, b *Binding) int { return strings.Compare(a.Name, b.Name) })
	for _, b := range bindings {
		from := s
		if b.RoleKind == KindClusterRole {
			from = cluster
		}
		b.role = from.roles[b.RoleName]
		if b.role == nil {
			continue
		}
		for _, subject := range b.Subjects {
			to := s.users
			if subject.Group {
				to = s.groups
			}
			to[subject.Name] = append(to[subject.Name], b)
		}
	}
	return s
}

// builtinScope is what every registry has, with the roles and bindings beside it that
// people made for all projects.
func builtinScope(selfProvision bool, roles []*Role, bindings []*Binding) *scope {
	all := slices.Clone(roles)
	for _, r := range BuiltinRoles() {
		all = append(all, &Role{Name: r.Name, Rules: r.Rules, Summary: r.Summary, Builtin: true, matcher: newRole(r.Rules)})
	}
	bindings = append(slices.Clone(bindings), builtinBinding("", "cluster-admins", RoleClusterAdmin, Group(authn.GroupMasters)))
	if selfProvision {
		bindings = append(bindings, builtinBinding("", "self-provisioners", RoleSelfProvisioner, Group(authn.GroupAuthenticated)))
	}
	return compile(nil, all, bindings)
}

// cacheScope lets everyone pull from cache projects, and those who are logged in see what
// is there. Which repositories of an upstream strangers may see is for the cache to find
// out: the upstream decides it.
func cacheScope(cluster *scope) *scope {
	return compile(cluster, nil, []*Binding{
		builtinBinding("", "cache-pullers", RoleImagePuller, Group(authn.GroupUnauthenticated)),
		builtinBinding("", "cache-viewers", RoleRegistryViewer, Group(authn.GroupAuthenticated)),
	})
}

// pullersOf lets a project's service accounts pull from it.
func pullersOf(cluster *scope, project string) *Binding {
	b := builtinBinding(project, "system:image-pullers", RoleImagePuller, Group(serviceAccountGroups+":"+project))
	b.role = cluster.roles[RoleImagePuller]
	return b
}

func builtinBinding(project, name, role string, subject Subject) *Binding {
	return &Binding{
		Project: project, Name: name, RoleKind: KindClusterRole, RoleName: role, Subjects: []Subject{subject}, Builtin: true,
	}
}

// readRoles makes roles of rows. The error tells which could not be read: they allow
// nothing.
func readRoles(rows []metadata.Role) (roles []*Role, err error) {
	for _, row := range rows {
		rules, bad := parseRules(row.Rules)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("role %s of project %q: %w", row.Name, row.Project, bad))
		}
		roles = append(roles, &Role{
			Project: row.Project, Name: row.Name, Rules: rules, Creator: row.Creator, CreatedAt: row.CreatedAt, matcher: newRole(rules),
		})
	}
	return roles, err
}

// readBindings makes bindings of rows. The error tells which could not be read: they give
// nothing.
func readBindings(rows []metadata.RoleBinding) (bindings []*Binding, err error) {
	for _, row := range rows {
		subjects, bad := parseSubjects(row.Subjects)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("role binding %s of project %q: %w", row.Name, row.Project, bad))
		}
		bindings = append(bindings, &Binding{
			Project: row.Project, Name: row.Name, RoleKind: row.RoleKind, RoleName: row.RoleName, Subjects: subjects,
			Creator: row.Creator, CreatedAt: row.CreatedAt, stored: row.Subjects,
		})
	}
	return bindings, err
}

// newSnapshot compiles all roles and bindings.
func newSnapshot(selfProvision bool, roles []*Role, bindings []*Binding) *snapshot {
	rolesOf, bindingsOf := map[string][]*Role{}, map[string][]*Binding{}
	for _, r := range roles {
		rolesOf[r.Project] = append(rolesOf[r.Project], r)
	}
	for _, b := range bindings {
		bindingsOf[b.Project] = append(bindingsOf[b.Project], b)
	}
	s := &snapshot{cluster: builtinScope(selfProvision, rolesOf[""], bindingsOf[""]), projects: map[string]*scope{}}
	s.caches = cacheScope(s.cluster)
	delete(rolesOf, "")
	delete(bindingsOf, "")
	for project := range rolesOf {
		s.projects[project] = compile(s.cluster, rolesOf[project], bindingsOf[project])
	}
	for project, bindings := range bindingsOf {
		if s.projects[project] == nil {
			s.projects[project] = compile(s.cluster, nil, bindings)
		}
	}
	return s
}

// with is the snapshot with the roles and bindings of one project replaced.
func (s *snapshot) with(project string, roles []*Role, bindings []*Binding) *snapshot {
	next := *s
	next.projects = maps.Clone(s.projects)
	if len(roles) == 0 && len(bindings) == 0 {
		delete(next.projects, project)
		return &next
	}
	next.projects[project] = compile(s.cluster, roles, bindings)
	return &next
}

// of is the scope of a project, or of all when it is ""; one without roles and bindings
// when it has none.
func (s *snapshot) of(project string) *scope {
	if project == "" {
		return s.cluster
	}
	if found := s.projects[project]; found != nil {
		return found
	}
	return &scope{}
}

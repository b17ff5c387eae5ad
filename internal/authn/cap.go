package authn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/oci"
)

// Scope is a kind of actions that an access token can be limited to.
type Scope string

// The scopes. Each stands for itself, but for ScopeAdmin, which is everything.
const (
	ScopeRead   Scope = "read"
	ScopeWrite  Scope = "write"
	ScopeDelete Scope = "delete"
	ScopeAdmin  Scope = "admin"
)

// maxTargets bounds how many targets one access token is limited to.
const maxTargets = 64

// Cap is what an access token is limited to, whatever its user may do. A nil Cap is no
// limit.
type Cap struct {
	Scopes []Scope
	// Targets are projects and repositories, see CheckTarget; none means all.
	Targets []string
}

// NewCap checks what a new access token is to be limited to. Who writes has to look at
// what is there, so that ScopeWrite comes with ScopeRead. A cap that limits nothing is
// nil.
func NewCap(scopes, targets []string) (*Cap, error) {
	c := &Cap{}
	for _, s := range scopes {
		switch scope := Scope(s); scope {
		case ScopeRead, ScopeDelete, ScopeAdmin:
			c.Scopes = append(c.Scopes, scope)
		case ScopeWrite:
			c.Scopes = append(c.Scopes, ScopeRead, scope)
		default:
			return nil, fmt.Errorf("%.40q is no scope of an access token: the scopes are read, write, delete and admin", s)
		}
	}
	if len(targets) > maxTargets {
		return nil, fmt.Errorf("the access token is to be limited to %d projects and repositories: %d is the most, use a pattern such as demo/team-*", len(targets), maxTargets)
	}
	for _, target := range targets {
		if err := CheckTarget(target); err != nil {
			return nil, err
		}
		c.Targets = append(c.Targets, target)
	}
	slices.Sort(c.Scopes)
	c.Scopes = slices.Compact(c.Scopes)
	slices.Sort(c.Targets)
	c.Targets = slices.Compact(c.Targets)
	switch {
	case slices.Contains(c.Scopes, ScopeAdmin) && len(c.Targets) == 0:
		return nil, nil
	case len(c.Scopes) == 0:
		return nil, fmt.Errorf("the access token has no scope, with which it could do nothing: give it read, write, delete or admin")
	}
	return c, nil
}

// capOf reads what is kept of a token. A word that a newer program has written is kept,
// and covers nothing here.
func capOf(scopes, targets []string) *Cap {
	if len(scopes) == 0 && len(targets) == 0 {
		return nil
	}
	c := &Cap{Targets: targets}
	for _, s := range scopes {
		c.Scopes = append(c.Scopes, Scope(s))
	}
	return c
}

// words is c as it is kept with a token.
func (c *Cap) words() (scopes, targets []string) {
	if c == nil {
		return nil, nil
	}
	for _, s := range c.Scopes {
		scopes = append(scopes, string(s))
	}
	return scopes, c.Targets
}

// Covers tells whether the cap lets through an action of the scope on a repository, by
// its whole name, on a project, where the repository is "", or on what belongs to no
// project, where both are.
func (c *Cap) Covers(scope Scope, project, repository string) bool {
	if c == nil {
		return true
	}
	if !slices.Contains(c.Scopes, scope) && !slices.Contains(c.Scopes, ScopeAdmin) {
		return false
	}
	return len(c.Targets) == 0 || slices.ContainsFunc(c.Targets, func(target string) bool {
		return project != "" && covers(target, project, repository)
	})
}

// covers matches one target. A repository's target does not hold the project itself.
func covers(target, project, repository string) bool {
	if prefix, ok := strings.CutSuffix(target, "*"); ok {
		return repository != "" && strings.HasPrefix(repository, prefix)
	}
	return target == project || repository != "" && target == repository
}

// CheckTarget tells whether an access token can be limited to a target: a project and
// all in it, as in demo, one repository, as in demo/app, or those of a project that
// begin alike, as in demo/team-*.
func CheckTarget(target string) error {
	name, pattern := strings.CutSuffix(target, "*")
	if pattern {
		// What follows could be anything: a character makes the rest a name.
		project, rest, inProject := strings.Cut(name, "/")
		if !inProject || oci.CheckProject(project) != nil || oci.CheckName(project+"/"+rest+"x") != nil {
			return badTarget(target)
		}
		return nil
	}
	if !strings.Contains(name, "/") {
		if err := oci.CheckProject(name); err != nil {
			return badTarget(target)
		}
		return nil
	}
	if repo, err := oci.ParseRepository(name); err != nil || oci.CheckProject(repo.Project()) != nil {
		return badTarget(target)
	}
	return nil
}

func badTarget(target string) error {
	return fmt.Errorf("an access token cannot be limited to %.100q: write a project as demo, a repository as demo/app, or several as demo/team-*", target)
}

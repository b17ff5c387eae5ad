package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

var (
	// ErrNotInForce is returned for a change that was made, and could not be read again: it
	// comes into force as soon as it can.
	ErrNotInForce = errors.New("the change is kept, and not in force on this server yet")
	// ErrBuiltin is returned where something that every registry has would be changed.
	ErrBuiltin = errors.New("every registry has this, and it cannot be changed")
	// ErrNoRole is returned where a role is meant that there is not.
	ErrNoRole = errors.New("there is no such role")
	// ErrNotBound is returned where a role is taken from somebody who does not have it.
	ErrNotBound = errors.New("no binding gives the role to them")
)

// InvalidError says what is wrong with a role or a binding, for the caller.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return e.Reason }

func invalid(format string, args ...any) error {
	return &InvalidError{fmt.Sprintf(format, args...)}
}

// EscalationError says that somebody would give away rights that they do not hold
// themselves.
type EscalationError struct {
	User    string
	Project string
	Missing []rbacv1.PolicyRule // one verb and one resource each
}

func (e *EscalationError) Error() string {
	const most = 5
	var rights []string // without the groups of resources, which say nothing to people
	for _, r := range e.Missing {
		if right := describeRule(r); !slices.Contains(rights, right) {
			rights = append(rights, right)
		}
	}
	text := strings.Join(rights[:min(len(rights), most)], ", ")
	if more := len(rights) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%s cannot give what %s does not hold in %s: %s", e.User, e.User, Target{Project: e.Project}, text)
}

// describeRule is a rule of one verb and one resource in words.
func describeRule(r rbacv1.PolicyRule) string {
	text := strings.Join(r.Verbs, ",") + " " + strings.Join(r.Resources, ",")
	if len(r.ResourceNames) > 0 {
		text += " " + strings.Join(r.ResourceNames, ",")
	}
	return text
}

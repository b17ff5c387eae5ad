package authz

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/authn"
)

func TestWhoIsAMemberOfWhichProjects(t *testing.T) {
	projects := []string{"demo", "shop"}
	capped := authn.Identity{User: "alice", Cap: &authn.Cap{}}
	tests := map[string]struct {
		id   authn.Identity
		may  map[string]error // where the user may push; an error is what deciding fails with
		want []string
	}{
		"who may push to a project":               {authn.Identity{User: "alice"}, map[string]error{"shop": nil}, []string{"shop"}},
		"whatever the token is limited to":        {capped, map[string]error{"shop": nil}, []string{"shop"}},
		"who may push to several":                 {authn.Identity{User: "alice"}, map[string]error{"demo": nil, "shop": nil}, projects},
		"who may push to all is of none":          {authn.Identity{User: "root"}, map[string]error{"": nil, "demo": nil, "shop": nil}, nil},
		"who may push to none":                    {authn.Identity{User: "bob"}, nil, nil},
		"a stranger is of none":                   {authn.Anonymous(), map[string]error{"demo": nil}, nil},
		"a service account is of its own project": {authn.Identity{User: authn.ServiceAccount("demo", "ci")}, map[string]error{"shop": nil}, []string{"demo"}},
		"and of no other":                         {authn.Identity{User: authn.ServiceAccount("other", "ci")}, map[string]error{"shop": nil}, nil},
		"what cannot be decided counts as no":     {authn.Identity{User: "alice"}, map[string]error{"demo": errors.New("no answer"), "shop": nil}, []string{"shop"}},
		"nor is anybody of any where all is undecided": {
			authn.Identity{User: "alice"}, map[string]error{"": errors.New("no answer"), "demo": nil}, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			decide := func(_ context.Context, id authn.Identity, action Action, target Target) (bool, error) {
				if action != Push || target.Repository != "" || id.Cap != nil {
					t.Errorf("it was asked for %s to %v of %+v", action, target, id)
				}
				err, may := test.may[target.Project]
				return may && err == nil, err
			}
			if diff := cmp.Diff(test.want, MemberOf(t.Context(), decide, test.id, projects)); diff != "" {
				t.Errorf("projects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoImportsWithAProjectsOwnCredentials(t *testing.T) {
	member := map[Action][]Target{Push: {{Project: "demo"}}, Import: {{Project: "demo"}}}
	alice, ci := authn.Identity{User: "alice"}, authn.Identity{User: authn.ServiceAccount("demo", "ci")}
	limited := func(targets ...string) authn.Identity {
		return authn.Identity{User: "alice", Cap: &authn.Cap{Scopes: []authn.Scope{authn.ScopeRead, authn.ScopeWrite}, Targets: targets}}
	}
	tests := map[string]struct {
		id   authn.Identity
		may  map[Action][]Target
		want bool
	}{
		"a member": {alice, member, true},
		"who may push to all of it and not import":   {alice, map[Action][]Target{Push: {{Project: "demo"}}}, false},
		"who may import into all of it and not push": {alice, map[Action][]Target{Import: {{Project: "demo"}}}, false},
		"who may push and import one image": {
			alice, map[Action][]Target{Push: {{Project: "demo", Repository: "demo/app"}}, Import: {{Project: "demo", Repository: "demo/app"}}}, false,
		},
		"a member of another":      {alice, map[Action][]Target{Push: {{Project: "shop"}}, Import: {{Project: "shop"}}}, false},
		"who may everything":       {alice, map[Action][]Target{Push: {{}, {Project: "demo"}}, Import: {{}, {Project: "demo"}}}, false},
		"its service account":      {ci, map[Action][]Target{Import: {{Project: "demo"}}}, true},
		"one that imports nothing": {ci, nil, false},
		"one that imports one image": {
			ci, map[Action][]Target{Import: {{Project: "demo", Repository: "demo/app"}}}, false,
		},
		"another's service account":             {authn.Identity{User: authn.ServiceAccount("shop", "ci")}, member, false},
		"a member's token for the project":      {limited("demo"), member, true},
		"a member's token for one image":        {limited("demo/app"), member, false},
		"a member's token for a few":            {limited("demo/*"), member, false},
		"a stranger where everybody may import": {authn.Anonymous(), member, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			decide := func(_ context.Context, id authn.Identity, action Action, target Target) (bool, error) {
				target.Kind = ""
				return withinCap(id, action, target) && slices.Contains(test.may[action], target), nil
			}
			if got, err := ImportsAsMember(t.Context(), decide, test.id, "demo"); got != test.want || err != nil {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestWhatCannotBeDecidedOfAnImportIsAnError(t *testing.T) {
	for _, action := range []Action{Import, Push} {
		decide := func(_ context.Context, _ authn.Identity, asked Action, _ Target) (bool, error) {
			if asked == action {
				return false, errors.New("no answer")
			}
			return true, nil
		}
		if got, err := ImportsAsMember(t.Context(), decide, authn.Identity{User: "alice"}, "demo"); got || err == nil {
			t.Errorf("where it cannot be decided who may %s: %v, %v", action, got, err)
		}
	}
}

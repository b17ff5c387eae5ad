package authz

import (
	"context"
	"errors"
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

package authn

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnAccessTokenReachesWhatItIsLimitedToAndNothingElse(t *testing.T) {
	tests := []struct {
		name                string
		scopes, targets     []string
		scope               Scope
		project, repository string
		want                bool
	}{
		{"reads what it may read", []string{"read"}, nil, ScopeRead, "demo", "demo/app", true},
		{"reading is not writing", []string{"read"}, nil, ScopeWrite, "demo", "demo/app", false},
		{"writing is reading too", []string{"write"}, nil, ScopeRead, "demo", "demo/app", true},
		{"writing is not deleting", []string{"write"}, nil, ScopeDelete, "demo", "demo/app", false},
		{"deleting is not reading", []string{"delete"}, nil, ScopeRead, "demo", "demo/app", false},
		{"no other scope is administration", []string{"read", "write", "delete"}, nil, ScopeAdmin, "demo", "", false},
		{"administration is everything", []string{"admin"}, []string{"demo"}, ScopeDelete, "demo", "demo/app", true},
		{"without targets it reaches the whole registry", []string{"read"}, nil, ScopeRead, "", "", true},
		{"a project is all in it", []string{"read"}, []string{"demo"}, ScopeRead, "demo", "demo/a/b", true},
		{"a project is itself", []string{"read"}, []string{"demo"}, ScopeRead, "demo", "", true},
		{"a project is not the one that begins like it", []string{"read"}, []string{"demo"}, ScopeRead, "demo2", "demo2/app", false},
		{"a project is not the registry", []string{"admin"}, []string{"demo"}, ScopeAdmin, "", "", false},
		{"a repository is itself", []string{"read"}, []string{"demo/app"}, ScopeRead, "demo", "demo/app", true},
		{"a repository is not the one below it", []string{"read"}, []string{"demo/app"}, ScopeRead, "demo", "demo/app/more", false},
		{"a repository is not the one that begins like it", []string{"read"}, []string{"demo/app"}, ScopeRead, "demo", "demo/app2", false},
		{"a repository is not its project", []string{"read"}, []string{"demo/app"}, ScopeRead, "demo", "", false},
		{"a pattern is what begins like it", []string{"read"}, []string{"demo/team-*"}, ScopeRead, "demo", "demo/team-a/web", true},
		{"a pattern is nothing else", []string{"read"}, []string{"demo/team-*"}, ScopeRead, "demo", "demo/other", false},
		{"a pattern is not its project", []string{"read"}, []string{"demo/*"}, ScopeRead, "demo", "", false},
		{"one of several is enough", []string{"read"}, []string{"other", "demo/app"}, ScopeRead, "demo", "demo/app", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := NewCap(tt.scopes, tt.targets)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Covers(tt.scope, tt.project, tt.repository); got != tt.want {
				t.Errorf("Covers = %t", got)
			}
		})
	}
}

func TestACapWithAScopeOfALaterVersionCoversNothingByIt(t *testing.T) {
	if c := capOf([]string{"sign"}, nil); c == nil || c.Covers(ScopeRead, "demo", "demo/app") || c.Covers(ScopeAdmin, "", "") {
		t.Errorf("%+v covers more than is known of it", c)
	}
}

func TestACapThatLimitsNothingIsNone(t *testing.T) {
	c, err := NewCap([]string{"admin", "read"}, nil)
	if c != nil || err != nil {
		t.Errorf("NewCap = %+v, %v", c, err)
	}
	if !c.Covers(ScopeAdmin, "", "") {
		t.Error("no cap limits something")
	}
}

func TestACapIsKeptOnceAndInOrder(t *testing.T) {
	c, err := NewCap([]string{"write", "read", "write"}, []string{"demo", "b/app", "demo"})
	if err != nil {
		t.Fatal(err)
	}
	want := &Cap{Scopes: []Scope{ScopeRead, ScopeWrite}, Targets: []string{"b/app", "demo"}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("cap (-want +got):\n%s", diff)
	}
}

func TestWhatCannotLimitATokenIsRefusedWithWhatCould(t *testing.T) {
	tests := []struct {
		name            string
		scopes, targets []string
		want            string
	}{
		{"no scope", nil, nil, "give it read"},
		{"a target without a scope", nil, []string{"demo"}, "give it read"},
		{"an unknown scope", []string{"pull"}, nil, "the scopes are read"},
		{"a target that is no name", []string{"read"}, []string{"Demo"}, "write a project as demo"},
		{"a pattern of projects", []string{"read"}, []string{"dem*"}, "write a project as demo"},
		{"a pattern in the middle", []string{"read"}, []string{"demo/*/app"}, "write a project as demo"},
		{"everything", []string{"read"}, []string{"*"}, "write a project as demo"},
		{"nothing", []string{"read"}, []string{""}, "write a project as demo"},
		{"too many", []string{"read"}, strings.Fields(strings.Repeat("demo ", maxTargets+1)), "64 is the most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewCap(tt.scopes, tt.targets); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

// No target reaches another project than the one that it begins with.
func FuzzATargetStaysInItsProject(f *testing.F) {
	for _, seed := range []string{"demo", "demo/app", "demo/team-*", "demo/*", "*", "demo*", "demo/../x", "a/b/c*", "/", "demo/"} {
		f.Add(seed, "demo", "demo/app")
	}
	f.Fuzz(func(t *testing.T, target, project, rest string) {
		c, err := NewCap([]string{"read"}, []string{target})
		if err != nil {
			return
		}
		own, _, _ := strings.Cut(target, "/")
		if strings.Contains(project, "/") || project == own || project == "" {
			return
		}
		if c.Covers(ScopeRead, project, project+"/"+rest) || c.Covers(ScopeRead, project, "") || c.Covers(ScopeRead, "", "") {
			t.Errorf("a token for %q reaches project %q", target, project)
		}
	})
}

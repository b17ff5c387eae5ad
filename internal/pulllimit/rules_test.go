package pulllimit

import (
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/ratelimit"
)

func TestWhoHasWhichLimit(t *testing.T) {
	six := 6 * time.Hour
	unlimited := ratelimit.Limit{}
	ci := user(authn.ServiceAccount("demo", "ci"), authn.GroupServiceAccounts, authn.ServiceAccountGroup("demo"))
	rules := Rules{Anonymous: limit(100, six), Authenticated: limit(200, six)}
	exceptions := rules
	exceptions.Groups = map[string]ratelimit.Limit{
		"devs": limit(1000, six), "ops": unlimited, "interns": limit(10, six), authn.ServiceAccountGroup("demo"): limit(500, six),
	}
	exceptions.Projects = map[string]ratelimit.Limit{"open": unlimited, "heavy": limit(5, six)}
	bots := rules
	bots.ServiceAccounts = &unlimited
	for _, tt := range []struct {
		name    string
		rules   Rules
		caller  Caller
		project string
		want    ratelimit.Limit
		source  string
	}{
		{"a stranger", rules, stranger("192.0.2.7"), "demo", limit(100, six), "192.0.2.7"},
		{"an account", rules, user("alice"), "demo", limit(200, six), "alice"},
		{"a service account is an account", rules, ci, "demo", limit(200, six), "system:serviceaccount:demo:ci"},
		{"unless there is a rule for them", bots, ci, "demo", unlimited, ""},
		{"which is not for people", bots, user("alice"), "demo", limit(200, six), "alice"},
		{"a member of a group", exceptions, user("alice", "devs"), "demo", limit(1000, six), "alice"},
		{"a member of a group with less", exceptions, user("alice", "interns"), "demo", limit(10, six), "alice"},
		{"a member of several has the highest", exceptions, user("alice", "interns", "devs"), "demo", limit(1000, six), "alice"},
		{"which may be none", exceptions, user("alice", "ops", "devs"), "demo", unlimited, ""},
		{"the service accounts of a project are a group", exceptions, ci, "demo", limit(500, six), "system:serviceaccount:demo:ci"},
		{"a project that has no limit", exceptions, stranger("192.0.2.7"), "open", unlimited, ""},
		{"a project with a limit of its own", exceptions, user("alice", "ops"), "heavy", limit(5, six), "alice"},
		{"without rules nobody is limited", Rules{}, stranger("192.0.2.7"), "demo", unlimited, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, limited := newHouse(t).process(false).With(tt.rules).Standing(tt.caller, tt.project)
			if limited == tt.want.Unlimited() || got.Limit != tt.want || got.Source != tt.source {
				t.Errorf("limited: %v, by %s, as %q; want %s, as %q", limited, got.Limit, got.Source, tt.want, tt.source)
			}
		})
	}
}

func TestAStrangerIsCountedByAddressOrIPv6Network(t *testing.T) {
	ls := newHouse(t).process(false).With(Rules{Anonymous: limit(10, time.Hour)})
	for _, tt := range []struct{ address, source string }{
		{"192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"192.0.2.2", "192.0.2.2"},
		{"2600:3c00:0:1:2:3:4:5", "2600:3c00:0:1::"},
		{"2600:3c00:0:1::9", "2600:3c00:0:1::"},
		{"2600:3c00:0:2::9", "2600:3c00:0:2::"},
		{"fe80::1%eth0", "fe80::"},
	} {
		if s, _ := ls.Standing(stranger(tt.address), "demo"); s.Source != tt.source {
			t.Errorf("%s is counted as %s, want %s", tt.address, s.Source, tt.source)
		}
	}
	pulls(t, ls, stranger("2600:3c00:0:1::1"), app, 3)
	pulls(t, ls, stranger("2600:3c00:0:1:ffff::2"), app, 2)
	if got := remaining(t, ls, stranger("2600:3c00:0:1::3"), "demo"); got != 5 {
		t.Errorf("a third address of the network has %d left, want 5", got)
	}
	if got := remaining(t, ls, stranger("2600:3c00:0:2::1"), "demo"); got != 10 {
		t.Errorf("the next network has %d left, want 10", got)
	}
}

func TestALoginHelpsStrangersWhereAccountsMayPullMore(t *testing.T) {
	own := map[string]ratelimit.Limit{"heavy": limit(5, time.Hour)}
	for _, tt := range []struct {
		name    string
		rules   Rules
		caller  Caller
		project string
		want    bool
	}{
		{"more", Rules{Anonymous: limit(1, time.Hour), Authenticated: limit(2, time.Hour)}, stranger("192.0.2.1"), "demo", true},
		{"without limit", Rules{Anonymous: limit(1, time.Hour)}, stranger("192.0.2.1"), "demo", true},
		{"as much", Rules{Anonymous: limit(1, time.Hour), Authenticated: limit(1, time.Hour)}, stranger("192.0.2.1"), "demo", false},
		{"a project that limits all alike", Rules{Anonymous: limit(1, time.Hour), Projects: own}, stranger("192.0.2.1"), "heavy", false},
		{"who is logged in already", Rules{Authenticated: limit(1, time.Hour)}, user("alice"), "demo", false},
	} {
		if s, _ := newHouse(t).process(false).With(tt.rules).Standing(tt.caller, tt.project); s.LoginHelps != tt.want {
			t.Errorf("%s: a login helps: %v", tt.name, s.LoginHelps)
		}
	}
}

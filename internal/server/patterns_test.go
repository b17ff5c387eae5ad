package server

import "testing"

func TestDenyWinsAndAStarAtTheEndReachesAnyDepth(t *testing.T) {
	tests := []struct {
		name        string
		allow, deny []string
		repository  string
		want        bool
	}{
		{"a star allows everything", []string{"*"}, nil, "library/nginx", true},
		{"a star allows any depth", []string{"*"}, nil, "a/b/c/d", true},
		{"no pattern allows nothing", nil, nil, "library/nginx", false},
		{"a name allows itself", []string{"library/nginx"}, nil, "library/nginx", true},
		{"a name does not allow what begins with it", []string{"library/nginx"}, nil, "library/nginx-ingress", false},
		{"a name does not allow what lies below", []string{"acme/app"}, nil, "acme/app/web", false},
		{"a trailing star allows the folder's repositories", []string{"acme/*"}, nil, "acme/app", true},
		{"a trailing star allows any depth", []string{"acme/*"}, nil, "acme/app/web", true},
		{"a trailing star does not allow the folder itself", []string{"acme/*"}, nil, "acme", false},
		{"a trailing star does not allow a longer name", []string{"acme/*"}, nil, "acme-evil/app", false},
		{"a star inside a segment stays in it", []string{"acme/a*"}, nil, "acme/app/web", false},
		{"a star inside a segment matches there", []string{"acme/a*"}, nil, "acme/app", true},
		{"a star for a segment in front", []string{"*/nginx"}, nil, "acme/nginx", true},
		{"a star in front is one segment", []string{"*/nginx"}, nil, "acme/x/nginx", false},
		{"stars in front and at the end", []string{"acme-*/*"}, nil, "acme-1/a/b", true},
		{"a class of characters", []string{"acme/v[12]"}, nil, "acme/v2", true},
		{"a class of characters refuses others", []string{"acme/v[12]"}, nil, "acme/v3", false},
		{"a question mark is one character", []string{"acme/?"}, nil, "acme/ab", false},
		{"deny wins over a star", []string{"*"}, []string{"acme/*"}, "acme/app", false},
		{"deny wins over the very name", []string{"acme/app"}, []string{"acme/app"}, "acme/app", false},
		{"deny leaves the rest", []string{"*"}, []string{"acme/*"}, "library/nginx", true},
		{"a star denies everything", []string{"*"}, []string{"*"}, "library/nginx", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := Upstream{Allow: tt.allow, Deny: tt.deny}
			if got := u.Allows(tt.repository); got != tt.want {
				t.Errorf("allow %q deny %q: Allows(%q) = %v", tt.allow, tt.deny, tt.repository, got)
			}
		})
	}
}

func TestAOneSegmentPatternMeansAnOfficialImageAtDockerHubOnly(t *testing.T) {
	config, err := withFile(`
upstreams:
  - {name: docker-hub, deny: [nginx, "redis*"]}
  - {name: other, url: "https://r.example", deny: [nginx]}
`).load(t)
	if err != nil {
		t.Fatal(err)
	}
	hub, other := config.Upstreams[0], config.Upstreams[1]
	for _, tt := range []struct {
		upstream   Upstream
		repository string
		want       bool
	}{
		{hub, "library/nginx", false},
		{hub, "library/redis-stack", false},
		{hub, "library/postgres", true},
		{other, "nginx", false},
		{other, "library/nginx", true},
	} {
		if got := tt.upstream.Allows(tt.repository); got != tt.want {
			t.Errorf("%s: Allows(%q) = %v", tt.upstream.Name, tt.repository, got)
		}
	}
}

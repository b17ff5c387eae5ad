package upstream

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChallengesAreReadAsRFC9110WritesThem(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  []challenge
	}{
		{"none", nil, nil},
		{"Docker Hub's", []string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push"`},
			[]challenge{{"bearer", map[string]string{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:library/nginx:pull,push"}}}},
		{"several in one line, quoted pairs, any case", []string{`Newauth realm="apps", type=1, title="Login to \"apps\"", BASIC Realm = "simple"`},
			[]challenge{{"newauth", map[string]string{"realm": "apps", "type": "1", "title": `Login to "apps"`}}, {"basic", map[string]string{"realm": "simple"}}}},
		{"several lines", []string{`Basic realm="a"`, `Bearer realm="b"`},
			[]challenge{{"basic", map[string]string{"realm": "a"}}, {"bearer", map[string]string{"realm": "b"}}}},
		{"a scheme alone before another", []string{`Negotiate, Basic realm=x`},
			[]challenge{{"negotiate", map[string]string{}}, {"basic", map[string]string{"realm": "x"}}}},
		{"a scheme with one unnamed value", []string{`Negotiate YII/a+==, Bearer realm="r"`},
			[]challenge{{"negotiate", map[string]string{}}, {"bearer", map[string]string{"realm": "r"}}}},
		{"empty list elements", []string{`, ,Bearer realm="r",, service="s" ,`},
			[]challenge{{"bearer", map[string]string{"realm": "r", "service": "s"}}}},
		{"the first of a doubled parameter holds", []string{`Bearer realm="r",realm="evil"`},
			[]challenge{{"bearer", map[string]string{"realm": "r"}}}},
		{"a quote that never ends is no challenge", []string{`Basic realm="a", Bearer realm="r`},
			[]challenge{{"basic", map[string]string{"realm": "a"}}}},
		{"garbage after a value is no challenge", []string{`Bearer realm="r"service="s"`}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseChallenges(test.lines), cmp.AllowUnexported(challenge{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBearerIsPreferredToBasic(t *testing.T) {
	got := wanted(http.Header{"Www-Authenticate": {`Basic realm="x", Bearer realm="https://a/token",service="s",error="Insufficient_Scope"`}})
	want := scheme{name: bearer, realm: "https://a/token", service: "s", reason: "insufficient_scope"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`)
	f.Add(`Negotiate a==, Basic realm="\"", x y=z`)
	f.Add(`Digest realm="a", nonce=,`)
	f.Fuzz(func(t *testing.T, line string) {
		found := parseChallenges([]string{line})
		if len(found) > maxChallenges {
			t.Fatalf("%d challenges", len(found))
		}
		for _, c := range found {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || len(c.parameters) > maxParameters {
				t.Fatalf("challenge %+v", c)
			}
			for name, value := range c.parameters {
				if name == "" || len(value) > len(line) {
					t.Fatalf("parameter %q=%q", name, value)
				}
			}
		}
	})
}

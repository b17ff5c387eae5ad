package upstream

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{`{"token":"t","expires_in":300}`, `{"access_token":"a","expires_in":-1}`, `{"token":"a b"}`, `{"token":"t","expires_in":1e308}`, `[]`, `{"token":null}`} {
		f.Add([]byte(seed))
	}
	asked := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := parseToken(content, asked)
		if err != nil {
			return
		}
		if got.value == "" || len(got.value) > maxTokenBytes || strings.ContainsAny(got.value, " \r\n\x00") {
			t.Fatalf("the token %q is none for a header", got.value)
		}
		if life := got.expires.Sub(asked); life < 0 || life > maxTokenLife {
			t.Fatalf("the token lives for %v", life)
		}
	})
}

func FuzzRealm(f *testing.F) {
	for _, seed := range []string{"https://auth.docker.io/token", "https://docker.io.evil.example/", "http://auth.docker.io", "https://u:p@auth.docker.io", "https://auth.docker.io:443\\@evil", "//auth.docker.io", "https://[::1]/"} {
		f.Add(seed)
	}
	hub := newRealms(&url.URL{Scheme: "https", Host: "registry-1.docker.io"}, nil)
	f.Fuzz(func(t *testing.T, realm string) {
		u, err := parseRealm(realm)
		if err != nil {
			return
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		ours := u.Scheme == "https" && (host == "docker.io" || strings.HasSuffix(host, ".docker.io"))
		if got := hub.trust(u); got == withSecrets && !ours {
			t.Fatalf("%q may have Docker Hub's credentials", realm)
		}
	})
}

package authn

import (
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestANameThatIsShownWithATokenMayHaveColons(t *testing.T) {
	body := strings.Repeat("a", tokenRandom)
	token := tokenPrefix + body + checksum(body)
	job, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "https://id.example.com"}).SignedString([]byte("a key"))
	must(t, err)
	tests := []struct{ name, shown, user, password string }{
		{"a service account", "system:serviceaccount:demo:ci:" + token, "system:serviceaccount:demo:ci", token},
		{"somebody of an issuer", "oidc:jane:" + token, "oidc:jane", token},
		{"a pipeline's token", "gitlab:ci:" + job, "gitlab:ci", job},
		{"a token of OpenShift", "kube:admin:sha256~x", "kube:admin", "sha256~x"},
		{"a name without one", "alice:" + token, "alice", token},
		{"no name", ":" + token, "", token},
		{"a password with colons", "alice:correct:horse", "alice", "correct:horse"},
		{"a password that ends like a token", "alice:correct:larder_horse", "alice", "correct:larder_horse"},
		{"a password that ends with a colon", "alice:correct:", "alice", "correct:"},
		{"a token that has been cut", "a:b:" + token[:len(token)-1], "a", "b:" + token[:len(token)-1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{}}
			name, password, _ := strings.Cut(tt.shown, ":")
			r.SetBasicAuth(name, password)
			user, password, ok := BasicAuth(r)
			if user != tt.user || password != tt.password || !ok {
				t.Errorf("BasicAuth = %q, %q, %t", user, password, ok)
			}
		})
	}
	if _, _, ok := BasicAuth(&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}); ok {
		t.Error("a bearer token was read as Basic")
	}
}

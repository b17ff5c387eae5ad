package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPeopleLogInAtTheIssuerThatIsConfigured(t *testing.T) {
	got, err := withFile(`oidc:
  issuer: https://id.example.com/realms/acme
  clientID: larder
  clientSecretFile: secret.txt
`).file("secret.txt", "hush\n").load(t)
	if err != nil {
		t.Fatal(err)
	}
	want := &OIDC{
		Issuer: "https://id.example.com/realms/acme", ClientID: "larder", ClientSecret: "hush",
		UsernamePrefix: "oidc:", GroupsClaim: "groups", GroupsPrefix: "oidc:",
	}
	if diff := cmp.Diff(want, got.OIDC); diff != "" {
		t.Errorf("oidc (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%+v", got.OIDC); strings.Contains(text, "hush") {
		t.Errorf("the secret is shown: %s", text)
	}

	got, err = withFile(`oidc:
  issuer: http://127.0.0.1:8080/oidc
  clientID: larder
  usernameClaim: email
  usernamePrefix: ""
  groupsClaim: roles
  groupsPrefix: "corp:"
  scopes: [openid, email, "https://example.com/scope"]
  allowedGroups: [/devs, 0a1b]
`).load(t)
	if err != nil {
		t.Fatal(err)
	}
	want = &OIDC{
		Issuer: "http://127.0.0.1:8080/oidc", ClientID: "larder", UsernameClaim: "email", GroupsClaim: "roles", GroupsPrefix: "corp:",
		Scopes: []string{"openid", "email", "https://example.com/scope"}, AllowedGroups: []string{"/devs", "0a1b"},
	}
	if diff := cmp.Diff(want, got.OIDC); diff != "" {
		t.Errorf("oidc (-want +got):\n%s", diff)
	}
}

func TestTheSecretOfTheEnvironmentBeatsThatOfTheFile(t *testing.T) {
	given := withFile("oidc: {issuer: 'https://id.example.com', clientID: larder, clientSecretFile: gone.txt}\n")
	given.env = map[string]string{"LARDER_OIDC_CLIENT_SECRET": "from the environment"}
	got, err := given.load(t)
	if err != nil {
		t.Fatal(err)
	}
	if got.OIDC.ClientSecret != "from the environment" {
		t.Errorf("the secret is another")
	}
	given.env["LARDER_OIDC_CLIENT_SECRET"] = "two\nlines"
	if _, err = given.load(t); err == nil || !strings.Contains(err.Error(), "environment variable LARDER_OIDC_CLIENT_SECRET holds more than one line") {
		t.Errorf("error = %v", err)
	}
}

func TestAWrongIssuerOfPeopleSaysWhichKeyIsWrong(t *testing.T) {
	const some = "issuer: https://id.example.com, clientID: larder, "
	tests := []struct{ name, oidc, want string }{
		{"nothing", "", `oidc (larder.yaml line 1) needs an issuer and a clientID`},
		{"no client", "issuer: https://id.example.com", `oidc (larder.yaml line 1) needs an issuer and a clientID`},
		{"an issuer in the clear", "issuer: http://id.example.com, clientID: larder", `oidc.issuer "http://id.example.com" (larder.yaml line 1) is no issuer`},
		{"a secret in the file", some + "clientSecret: hush", `oidc.clientSecret (larder.yaml line 1) must not stand in the configuration`},
		{"a secret that is not there", some + "clientSecretFile: gone.txt", `oidc.clientSecretFile "gone.txt" (larder.yaml line 1) cannot be read`},
		{"no claim", some + "usernameClaim: ''", `oidc.usernameClaim "" (larder.yaml line 1) is no claim`},
		{"no claim of groups", some + "groupsClaim: 'a b'", `oidc.groupsClaim "a b" (larder.yaml line 1) is no claim`},
		{"users that would be Kubernetes' own", some + "usernamePrefix: 'system:'", `oidc.usernamePrefix "system:" (larder.yaml line 1) would make the issuer's users and groups Kubernetes' own`},
		{"groups that would be Kubernetes' own", some + "groupsPrefix: 'system:serviceaccounts:'", `oidc.groupsPrefix "system:serviceaccounts:" (larder.yaml line 1) would make`},
		{"a prefix with a slash", some + "usernamePrefix: a/b", `oidc.usernamePrefix "a/b" (larder.yaml line 1) is no prefix`},
		{"scopes in one text", some + "scopes: [openid email]", `oidc.scopes[0] "openid email" (larder.yaml line 1) is no scope`},
		{"a group without a name", some + "allowedGroups: ['']", `oidc.allowedGroups[0] "" (larder.yaml line 1) is no group`},
		{"authorities that are not there", some + "ca: gone.pem", `oidc.ca "gone.pem" (larder.yaml line 1) cannot be read`},
		{"a key that is not known", some + "groupClaim: x", `did you mean oidc.groupsClaim?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := withFile("oidc: {" + tt.oidc + "}\n").load(t)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokensOfPipelinesAreTrustedByRules(t *testing.T) {
	text := `ciTokens:
  - issuer: https://token.actions.githubusercontent.com
    audience: registry.example.com
    claims: {repository: "acme/*", ref: refs/heads/main}
    serviceAccount: demo/ci
  - {issuer: "http://127.0.0.1:8080/oidc", audience: larder, claims: {protected: true}, user: builder}
`
	got, err := withFile(text).load(t)
	if err != nil {
		t.Fatal(err)
	}
	want := []CIToken{
		{
			Issuer: "https://token.actions.githubusercontent.com", Audience: "registry.example.com",
			Claims: map[string]string{"repository": "acme/*", "ref": "refs/heads/main"}, User: "system:serviceaccount:demo:ci",
		},
		{Issuer: "http://127.0.0.1:8080/oidc", Audience: "larder", Claims: map[string]string{"protected": "true"}, User: "builder"},
	}
	if diff := cmp.Diff(want, got.CITokens); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestARuleForPipelinesThatTrustsTooMuchIsRefused(t *testing.T) {
	const github = "{issuer: https://token.actions.githubusercontent.com, audience: larder, "
	tests := []struct{ name, rule, want string }{
		{"no claims", github + "serviceAccount: demo/ci}", "needs claims"},
		{"no audience", "{issuer: https://id.example.com, claims: {a: b}, serviceAccount: demo/ci}", "needs an issuer, an audience"},
		{"nobody to be", github + "claims: {a: b}}", "needs an issuer, an audience, and a serviceAccount"},
		{"a project's account without a project", github + "claims: {a: b}, serviceAccount: ci}", "write PROJECT/NAME"},
		{"an issuer in the clear", "{issuer: http://id.example.com, audience: larder, claims: {a: b}, serviceAccount: demo/ci}", "is no issuer"},
		{"a pattern that is none", github + "claims: {a: '['}, serviceAccount: demo/ci}", "is no pattern"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := withFile("ciTokens:\n  - " + tt.rule + "\n").load(t)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
		})
	}
}

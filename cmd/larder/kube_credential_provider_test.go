package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKubeletIsAnsweredWithTheTokenOfThePod(t *testing.T) {
	const asked = `{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1",
		"image":"registry.example.com:5000/demo/app:1","serviceAccountToken":"header.payload.signature","serviceAccountAnnotations":{"a":"b"}}`
	const want = `{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderResponse","cacheKeyType":"Registry","cacheDuration":"0s",` +
		`"auth":{"registry.example.com:5000":{"username":"unused","password":"header.payload.signature"}}}` + "\n"
	var out strings.Builder
	if err := provideCredential(strings.NewReader(asked), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatKubeletDoesNotAskIsRefused(t *testing.T) {
	const ofKind = `{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1"`
	tests := map[string]struct{ asked, want string }{
		"nothing":         {"", "kubelet runs this command"},
		"no JSON":         {"a secret", "kubelet runs this command"},
		"too much":        {ofKind + `,"image":"` + strings.Repeat("a", 1<<20), "kubelet runs this command"},
		"another version": {strings.Replace(ofKind, "/v1", "/v1beta1", 1) + `}`, "write that apiVersion"},
		"no image":        {ofKind + `,"image":"A","serviceAccountToken":"t"}`, `the image "A"`},
		"no token":        {ofKind + `,"image":"registry.example.com/demo/app"}`, "write tokenAttributes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := provideCredential(strings.NewReader(tt.asked), &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "a secret") || out.Len() > 0 {
				t.Errorf("the error is %v, and printed was %s", err, out.String())
			}
		})
	}
}

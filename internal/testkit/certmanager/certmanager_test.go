package certmanager_test

import (
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/testkit/certmanager"
)

// `make tools` runs this test alone, so that building is not part of what is measured later.
func TestTheProgramsAreBuilt(t *testing.T) {
	if _, err := certmanager.Program(); err != nil {
		t.Fatal(err)
	}
}

func TestItsCustomResourcesAreThoseOfItsVersion(t *testing.T) {
	text, err := certmanager.CustomResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"kind: Certificate\n", "kind: Issuer\n", "kind: CertificateRequest\n"} {
		if !strings.Contains(text, kind) {
			t.Errorf("there is no %s", kind)
		}
	}
}

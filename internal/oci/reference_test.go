package oci_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

func TestReferencesAreTagsOrDigests(t *testing.T) {
	sha256 := "sha256:" + strings.Repeat("a", 64)
	sha512 := "sha512:" + strings.Repeat("b", 128)
	for _, test := range []struct {
		name, given string
		want        oci.Code // "" when it is valid
	}{
		{"a tag", "latest", ""},
		{"a tag with everything allowed", "_A.b-C_9", ""},
		{"the longest tag", strings.Repeat("t", 128), ""},
		{"a sha256 digest", sha256, ""},
		{"a sha512 digest", sha512, ""},
		{"a tag that is too long", strings.Repeat("t", 129), oci.CodeTagInvalid},
		{"a tag that begins with a dot", ".latest", oci.CodeTagInvalid},
		{"a tag that begins with a hyphen", "-latest", oci.CodeTagInvalid},
		{"an empty reference", "", oci.CodeTagInvalid},
		{"a digest that is too short", "sha256:abc", oci.CodeDigestInvalid},
		{"a digest that is a digit too short", "sha256:" + strings.Repeat("a", 63), oci.CodeDigestInvalid},
		{"a digest that is a digit too long", "sha256:" + strings.Repeat("a", 65), oci.CodeDigestInvalid},
		{"a digest of the other algorithm's length", "sha512:" + strings.Repeat("a", 64), oci.CodeDigestInvalid},
		{"a digest with another colon", "sha256:" + strings.Repeat("a", 63) + ":", oci.CodeDigestInvalid},
		{"a digest with a letter that is no digit", "sha256:" + strings.Repeat("g", 64), oci.CodeDigestInvalid},
		{"a digest in upper case", "sha256:" + strings.Repeat("A", 64), oci.CodeDigestInvalid},
		{"an algorithm that is not registered", "md5:" + strings.Repeat("a", 32), oci.CodeDigestInvalid},
		{"an algorithm that is registered nowhere here", "sha384:" + strings.Repeat("a", 96), oci.CodeDigestInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			ref, err := oci.ParseReference(test.given)
			if got := oci.CodeOf(err); got != test.want {
				t.Fatalf("ParseReference(%q): code %q, want %q (%v)", test.given, got, test.want, err)
			}
			if err == nil && ref.String() != test.given {
				t.Errorf("it reads back as %q", ref)
			}
		})
	}
}

func TestAnErrorTextDoesNotRepeatAllThatAStrangerSent(t *testing.T) {
	_, err := oci.ParseReference(strings.Repeat("x", 100_000))
	if len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

// standardTag is the expression of OCI Distribution 1.1, §Pulling manifests.
var standardTag = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

func TestTagsAreThoseOfTheStandardsExpression(t *testing.T) {
	for given := range words("aZ9_.-/:", 5) {
		if got, want := oci.CheckTag(given) == nil, standardTag.MatchString(given); got != want {
			t.Fatalf("%q is taken for a tag: %t, want %t", given, got, want)
		}
	}
}

func FuzzAReferenceIsOneOfTwoThings(f *testing.F) {
	f.Add("latest")
	f.Add("sha256:" + strings.Repeat("a", 64))
	f.Fuzz(func(t *testing.T, given string) {
		ref, err := oci.ParseReference(given)
		if err == nil && (ref.ByTag() == (ref.Digest != "") || ref.String() != given) {
			t.Errorf("%q became %+v", given, ref)
		}
		if got, want := oci.CheckTag(given) == nil, standardTag.MatchString(given); got != want {
			t.Errorf("%q is taken for a tag: %t, want %t", given, got, want)
		}
		_, err = oci.ParseDigest(given)
		d := digest.Digest(given)
		if got, want := err == nil, d.Validate() == nil && (d.Algorithm() == digest.SHA256 || d.Algorithm() == digest.SHA512); got != want {
			t.Errorf("%q is taken for a digest: %t, want %t", given, got, want)
		}
	})
}

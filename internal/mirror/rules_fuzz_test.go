package mirror_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// FuzzRewriteKeepsWhatIsMeant holds the rules against the library by which container
// engines read references.
func FuzzRewriteKeepsWhatIsMeant(f *testing.F) {
	for _, image := range slices.Sorted(maps.Keys(images())) {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		got, rewritten := rules().Rewrite(image)
		if !rewritten {
			if got != image {
				t.Errorf("%q is not rewritten and became %q", image, got)
			}
			if named, err := reference.ParseDockerRef(image); err == nil && reference.Domain(named) == "docker.io" && len(named.Name()) < 240 {
				t.Errorf("%q is Docker Hub's and stays", image)
			}
			return
		}
		meant, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			t.Fatalf("%q is no reference and became %q: %v", image, got, err)
		}
		is, err := reference.ParseNamed(got)
		if err != nil {
			t.Fatalf("%q became %q, which is none: %v", image, got, err)
		}
		project := rules().Caches[reference.Domain(meant)]
		if reference.Domain(is) != host || reference.Path(is) != project+"/"+reference.Path(meant) {
			t.Errorf("%q became %q", image, got)
		}
		if want := suffixOf(meant); suffixOf(is) != want {
			t.Errorf("%q became %q, which ends with %q, not %q", image, got, suffixOf(is), want)
		}
	})
}

// suffixOf is the tag and the digest that a reference means.
func suffixOf(named reference.Named) string {
	return strings.TrimPrefix(reference.TagNameOnly(named).String(), named.Name())
}

package oci_test

import (
	"iter"
	"regexp"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/oci"
)

func TestRepositoryNamesFollowTheGrammar(t *testing.T) {
	for _, test := range []struct {
		name, given string
		valid       bool
	}{
		{"a project and a name", "demo/app", true},
		{"any depth", "demo/team/sub/app", true},
		{"separators inside a segment", "demo/a.b_c__d-e--f", true},
		{"digits first", "0demo/1app", true},
		{"one segment has no project", "app", false},
		{"upper case", "demo/App", false},
		{"an empty segment", "demo//app", false},
		{"a leading slash", "/demo/app", false},
		{"a trailing slash", "demo/app/", false},
		{"a leading separator", "demo/-app", false},
		{"a trailing separator", "demo/app.", false},
		{"two dots", "demo/a..b", false},
		{"three underscores", "demo/a___b", false},
		{"a step up", "demo/../app", false},
		{"a port", "demo:5000/app", false},
		{"a newline at the end", "demo/app\n", false},
		{"as long as clients accept", "demo/" + strings.Repeat("a", 250), true},
		{"longer than clients accept", "demo/" + strings.Repeat("a", 251), false},
		{"nothing", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := oci.ParseRepository(test.given)
			if (err == nil) != test.valid {
				t.Fatalf("ParseRepository(%q) = %v, want valid: %t", test.given, err, test.valid)
			}
			if err != nil && oci.CodeOf(err) != oci.CodeNameInvalid {
				t.Errorf("the code is %q, want %q", oci.CodeOf(err), oci.CodeNameInvalid)
			}
		})
	}
}

func TestARepositoryKnowsItsProjectAndTheRest(t *testing.T) {
	repo, err := oci.ParseRepository("docker-hub/library/nginx")
	if err != nil {
		t.Fatal(err)
	}
	if got := repo.Project(); got != "docker-hub" {
		t.Errorf("Project() = %q", got)
	}
	if got := repo.Rest(); got != "library/nginx" {
		t.Errorf("Rest() = %q", got)
	}
}

func TestAOneSegmentNameIsAnsweredWithTheLineToType(t *testing.T) {
	_, err := oci.ParseRepository("nginx")
	if err == nil || !strings.Contains(err.Error(), "docker-hub/library/nginx") {
		t.Errorf("the error does not say what to type: %v", err)
	}
}

// standardName is the expression of OCI Distribution 1.1, §Pulling manifests.
var standardName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func TestNamesAreThoseOfTheStandardsExpression(t *testing.T) {
	for given := range words("a0._-/A", 6) {
		if got, want := oci.CheckName(given) == nil, standardName.MatchString(given); got != want {
			t.Fatalf("%q is taken for a name: %t, want %t", given, got, want)
		}
	}
}

// words are all words of up to so many letters.
func words(letters string, most int) iter.Seq[string] {
	return func(yield func(string) bool) {
		all := []string{""}
		for range most + 1 {
			var longer []string
			for _, word := range all {
				if !yield(word) {
					return
				}
				for _, letter := range letters {
					longer = append(longer, word+string(letter))
				}
			}
			all = longer
		}
	}
}

func FuzzAParsedNameIsSafeAsAPath(f *testing.F) {
	f.Add("demo/app")
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, given string) {
		if got, want := oci.CheckName(given) == nil, len(given) <= 255 && standardName.MatchString(given); got != want {
			t.Errorf("%q is taken for a name: %t, want %t", given, got, want)
		}
		repo, err := oci.ParseRepository(given)
		if err != nil {
			return
		}
		if string(repo) != given || strings.Contains(given, "..") || strings.ContainsAny(given, "\\%:\x00 ") {
			t.Errorf("%q was accepted", given)
		}
		if repo.Project()+"/"+repo.Rest() != given {
			t.Errorf("%q does not fall into project and rest", given)
		}
	})
}

func TestAProjectIsOneSegmentThatIsNotReserved(t *testing.T) {
	for _, test := range []struct {
		name, given string
		valid       bool
	}{
		{"a plain name", "demo", true},
		{"a name with separators", "docker-hub_2.x", true},
		{"a repository's name", "demo/app", false},
		{"upper case", "Demo", false},
		{"nothing", "", false},
		{"a path of Docker Hub's API", "repositories", false},
		{"the repository of Docker Hub's limits", "ratelimitpreview", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := oci.CheckProject(test.given); (err == nil) != test.valid {
				t.Errorf("CheckProject(%q) = %v, want valid: %t", test.given, err, test.valid)
			}
		})
	}
}

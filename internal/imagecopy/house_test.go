package imagecopy_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/imagecopy"
)

// moved copies a whole prefix and returns what failed.
func moved(t *testing.T, o imagecopy.Options, m imagecopy.Moving) (copied, there int, failed []string) {
	t.Helper()
	c := newCopier(t, o)
	moves, err := c.Moves(t.Context(), imagecopy.Naming{}, m)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	err = c.CopyAll(t.Context(), moves, func(string) imagecopy.Meter { return &count{} }, func(o imagecopy.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case o.Err != nil:
			failed = append(failed, o.From)
		case o.Result.Changed():
			copied++
		default:
			there++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(failed)
	return copied, there, failed
}

// newHouse has three repositories below project, and others beside it.
func newHouse(t *testing.T) *registry {
	old := newRegistry(t)
	for _, image := range []string{"project/app:1", "project/app:2", "project/team/db:1", "projects/app:1", "other/app:1"} {
		old.push(image)
	}
	return old
}

func TestAProjectMovesWithAllItsRepositoriesAndNoOthers(t *testing.T) {
	old, home := newHouse(t), newRegistry(t)
	copied, there, failed := moved(t, imagecopy.Options{}, imagecopy.Moving{From: []string{old.host + "/project"}, To: home.host + "/new"})
	if copied != 3 || there != 0 || failed != nil {
		t.Errorf("%d copied, %d there, %v failed", copied, there, failed)
	}
	for from, to := range map[string]string{"project/app:1": "new/app:1", "project/app:2": "new/app:2", "project/team/db:1": "new/team/db:1"} {
		if old.digest(from) != home.digest(to) {
			t.Errorf("%s is %s, and %s is %s", from, old.digest(from), to, home.digest(to))
		}
	}
	if tags := home.tags("news/app"); tags != nil {
		t.Errorf("a project whose name begins alike was copied: %v", tags)
	}
}

func TestASecondMoveCopiesOnlyWhatIsMissingOrHasMoved(t *testing.T) {
	old, home := newHouse(t), newRegistry(t)
	m := imagecopy.Moving{From: []string{old.host + "/project"}, To: home.host + "/new"}
	moved(t, imagecopy.Options{}, m)
	old.push("project/app:2")
	old.push("project/app:3")
	copied, there, _ := moved(t, imagecopy.Options{DryRun: true}, m)
	if copied != 2 || there != 2 || home.digest("new/app:3") != "" {
		t.Errorf("the dry run would copy %d, %d are there", copied, there)
	}
	copied, there, _ = moved(t, imagecopy.Options{}, m)
	if copied != 2 || there != 2 || home.digest("new/app:2") != old.digest("project/app:2") {
		t.Errorf("%d copied, %d were there", copied, there)
	}
}

func TestAMoveGoesOnAfterAFailure(t *testing.T) {
	old, home := newHouse(t), newRegistry(t)
	m := imagecopy.Moving{From: []string{old.host + "/project"}, To: home.host + "/new"}
	home.refusing(http.StatusForbidden, "POST", "/new/app/")
	copied, _, failed := moved(t, imagecopy.Options{}, m)
	if diff := cmp.Diff([]string{old.host + "/project/app:1", old.host + "/project/app:2"}, failed); diff != "" || copied != 1 {
		t.Errorf("%d copied, failed (-want +got):\n%s", copied, diff)
	}
	home.healed()
	copied, there, failed := moved(t, imagecopy.Options{}, m)
	if copied != 2 || there != 1 || failed != nil {
		t.Errorf("the second time: %d copied, %d there, %v failed", copied, there, failed)
	}
}

func TestACatalogThatIsRefusedSaysHowToNameTheRepositories(t *testing.T) {
	old, home := newHouse(t), newRegistry(t)
	old.refusing(http.StatusForbidden, "GET", "/v2/_catalog")
	_, err := newCopier(t, imagecopy.Options{}).Moves(t.Context(), imagecopy.Naming{}, imagecopy.Moving{From: []string{old.host + "/project"}, To: home.host + "/new"})
	if err == nil || !strings.Contains(err.Error(), "OpenShift") || !strings.Contains(err.Error(), "--repositories FILE") {
		t.Fatalf("got %v", err)
	}
	for name, m := range map[string]imagecopy.Moving{
		"a list of names":          {From: []string{old.host + "/project"}, Repositories: []string{"app", "imagestream.image.openshift.io/team/db"}},
		"a list of whole names":    {From: []string{old.host + "/project"}, Repositories: []string{old.host + "/project/app", "project/team/db"}},
		"one repository as source": {From: []string{old.host + "/project/app"}},
	} {
		home := newRegistry(t)
		m.To = home.host + "/new"
		copied, _, failed := moved(t, imagecopy.Options{}, m)
		if want := 1 + max(1, len(m.Repositories)); copied != want || failed != nil {
			t.Errorf("%s: %d copied, want %d; %v failed", name, copied, want, failed)
		}
	}
	m := imagecopy.Moving{From: []string{old.host + "/project/app", old.host + "/project/team/db"}, To: home.host + "/new"}
	if copied, _, _ := moved(t, imagecopy.Options{}, m); copied != 3 || home.digest("new/db:1") == "" || home.digest("new/app:2") == "" {
		t.Errorf("several sources: %d copied", copied)
	}
}

func TestABlobThatManyRepositoriesHaveIsSentOnce(t *testing.T) {
	old, home := newRegistry(t), newRegistry(t)
	old.push("project/a:1")
	c := newCopier(t, imagecopy.Options{})
	for _, to := range []string{"x", "y"} {
		if _, err := c.Copy(t.Context(), place(t, old.host+"/project/a:1"), place(t, home.host+"/new/"+to+":1"), &count{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := old.sent("GET", "/blobs/"); n != 3 {
		t.Errorf("the source was asked for %d blobs, and the image has 3", n)
	}
}

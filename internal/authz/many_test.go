package authz

import (
	"errors"
	"fmt"
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestOneRequestHasTheClusterAskedAboutFiftyRepositoriesAtMost(t *testing.T) {
	c := &cluster{may: func(kube.Access) bool { return false }}
	decide := NewCluster(c).ForMany()
	decided := 0
	for i := range 1000 {
		may, err := decide(t.Context(), authn.Anonymous(), Pull, repository(i))
		if may || err != nil && !errors.Is(err, ErrSpent) {
			t.Fatalf("repository %d: allowed is %v, %v", i, may, err)
		}
		if err == nil {
			decided++
		}
	}
	// One about the namespace, and one about each repository.
	if decided != 50 || len(c.asked) != 51 {
		t.Errorf("%d were decided by %d questions", decided, len(c.asked))
	}
	if may, err := decide(t.Context(), authn.Anonymous(), Pull, repository(0)); may || err != nil {
		t.Errorf("what is known already: allowed is %v, %v", may, err)
	}
	if _, err := NewCluster(c).ForMany()(t.Context(), authn.Anonymous(), Pull, repository(999)); err != nil {
		t.Errorf("another request: %v", err)
	}
}

func TestWhatIsOpenAsAWholeIsAskedAboutOnceForAllOfIt(t *testing.T) {
	c := &cluster{may: func(a kube.Access) bool { return a.Name == "" }}
	decide := NewCluster(c).ForMany()
	for i := range 1000 {
		if may, err := decide(t.Context(), authn.Anonymous(), Pull, repository(i)); err != nil || !may {
			t.Fatalf("allowed is %v, %v", may, err)
		}
	}
	if len(c.asked) != 1 {
		t.Errorf("the cluster was asked %d times", len(c.asked))
	}
}

func TestOneRequestHasTheClusterAskedTwoHundredQuestionsAtMost(t *testing.T) {
	c := &cluster{may: func(a kube.Access) bool { return a.Namespace == "p140" }}
	decide := NewCluster(c).ForMany()
	found := 0
	for i := range 1000 {
		target := Target{Project: fmt.Sprintf("p%d", i), Repository: fmt.Sprintf("p%d/app", i), Kind: metadata.Hosted}
		may, err := decide(t.Context(), authn.Anonymous(), Pull, target)
		if err != nil && !errors.Is(err, ErrSpent) {
			t.Fatal(err)
		}
		if may {
			found++
		}
	}
	if found != 1 || len(c.asked) != 200 {
		t.Errorf("%d were found by %d questions", found, len(c.asked))
	}
}

func TestAnOutageInTheMiddleOfAListIsNotTakenForARefusal(t *testing.T) {
	c := &cluster{may: func(kube.Access) bool { return true }, fault: &kube.UnansweredError{Public: "gone", Err: errors.New("gone")}}
	decide := NewCluster(c).ForMany()
	for range 2 {
		if _, err := decide(t.Context(), authn.Anonymous(), Pull, repository(1)); err == nil {
			t.Error("something was decided")
		}
	}
}

func repository(i int) Target {
	return Target{Project: "demo", Repository: fmt.Sprintf("demo/app%d", i), Kind: metadata.Hosted}
}

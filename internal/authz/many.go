package authz

import (
	"context"
	"errors"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/kube"
)

// What one request has a cluster asked at most: in all, and about single repositories. So
// many of these do not keep what is open as a whole from being found.
const (
	maxQuestions = 200
	maxNamed     = 50
)

// ErrSpent says that one request has had the cluster asked as much as one may: the rest
// is for another request. Nothing was decided.
var ErrSpent = errors.New("one request asks the cluster no more than 200 questions")

// Decide tells whether id may do action to target, as Allowed does.
type Decide func(ctx context.Context, id authn.Identity, action Action, target Target) (bool, error)

// ForMany decides for a request that asks about many things, such as one for a list. The
// roles that are kept here bound nothing.
func (a *Authorizer) ForMany() Decide { return a.Allowed }

// ForMany decides for a request that asks about many things, such as one for a list, so
// that nobody has the cluster asked without end. The error is ErrSpent when 200 different
// questions were asked, or 50 about single repositories. One thing takes no more than
// eight. It is for one goroutine.
func (c *Cluster) ForMany() Decide {
	once := Cluster{reviewer: &ration{reviewer: c.reviewer, known: map[[32]byte]bool{}}, builtin: c.builtin}
	return once.Allowed
}

// ration is the questions that one request may have asked, and the answers.
type ration struct {
	reviewer AccessReviewer
	known    map[[32]byte]bool
	named    int // of them, those about single repositories
}

// ReviewAccess implements AccessReviewer.
func (r *ration) ReviewAccess(ctx context.Context, a kube.Access) (bool, error) {
	key := a.Key()
	if may, ok := r.known[key]; ok {
		return may, nil
	}
	named := a.Name != "" && a.Resource != "projects"
	if len(r.known) == maxQuestions || named && r.named == maxNamed {
		return false, ErrSpent
	}
	may, err := r.reviewer.ReviewAccess(ctx, a)
	if err != nil {
		return false, err
	}
	r.known[key] = may
	if named {
		r.named++
	}
	return may, nil
}

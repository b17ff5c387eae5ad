package authz

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

// AccessReviewer asks a cluster what a user may do. Its error is a *kube.UnansweredError.
type AccessReviewer interface {
	ReviewAccess(ctx context.Context, a kube.Access) (bool, error)
}

// Cluster decides by the roles and bindings of a Kubernetes cluster, in the namespace that
// is named like the project. It is safe for concurrent use.
type Cluster struct {
	reviewer AccessReviewer
	builtin  *snapshot // says what everyone may do with what caches hold
}

// NewCluster returns a Cluster that asks a reviewer.
func NewCluster(reviewer AccessReviewer) *Cluster {
	return &Cluster{reviewer: reviewer, builtin: newSnapshot(false, nil, nil)}
}

// Allowed tells whether id may do action to target. Administrators may everything, and
// what caches hold is open to everyone, without the cluster being asked. The error is an
// *UndecidedError when the cluster does not answer.
func (c *Cluster) Allowed(ctx context.Context, id authn.Identity, action Action, target Target) (bool, error) {
	if !withinCap(id, action, target) {
		return false, nil
	}
	if slices.Contains(id.Groups, authn.GroupMasters) {
		return true, nil
	}
	if target.Kind == metadata.Cache && c.builtin.allows(id, action, target) {
		return true, nil
	}
	may, err := c.ask(ctx, id, action, target)
	if err != nil || may || id.Anonymous() {
		return may, err
	}
	// Whoever is logged in could log out and have what is open to strangers.
	return c.ask(ctx, authn.Anonymous(), action, target)
}

// ask asks first about the whole namespace: whoever may there is then asked about once,
// and not for each repository. There is one project to a namespace.
func (c *Cluster) ask(ctx context.Context, id authn.Identity, action Action, target Target) (bool, error) {
	asked := access(id, action, target)
	if asked.Resource == "projects" {
		return c.review(ctx, asked)
	}
	name := asked.Name
	asked.Name = ""
	may, err := c.review(ctx, asked)
	if err != nil || may || name == "" {
		return may, err
	}
	asked.Name = name
	return c.review(ctx, asked)
}

func (c *Cluster) review(ctx context.Context, asked kube.Access) (bool, error) {
	may, err := c.reviewer.ReviewAccess(ctx, asked)
	if silence, ok := errors.AsType[*kube.UnansweredError](err); ok {
		return false, &UndecidedError{Reason: silence.Public, Err: err}
	}
	return may, err
}

// access puts the question into the words of the cluster.
func access(id authn.Identity, action Action, target Target) kube.Access {
	if (action == CreateProject || action == RequestProject) && target.Project != "" {
		// The namespace is the cluster's to make. What is made here is the place for its
		// first repository.
		action = CreateRepository
	}
	if id.User == "" && len(id.Groups) == 0 {
		id = authn.Anonymous()
	}
	resource, subresource, _ := strings.Cut(action.Resource(), "/")
	a := kube.Access{
		User: kube.User{Name: id.User, UID: id.UID, Groups: id.Groups, Extra: id.Extra},
		Verb: action.Verb(), Group: groupsOf(resource)[0], Resource: resource, Subresource: subresource,
		Namespace: target.Project,
	}
	if a.Name = target.name(); resource == "projects" {
		a.Name = target.Project
	}
	return a
}

package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// permit refuses callers who may not do action to target.
func (s *service) permit(ctx context.Context, who caller, action authz.Action, target authz.Target) error {
	may, err := s.Authorizer.Allowed(ctx, who.Identity, action, target)
	if err != nil || may {
		return err
	}
	return s.refused(who, action, target)
}

// refused tells a caller who may see the target which right is missing. What a caller may
// not see is answered as what does not exist instead.
func (s *service) refused(who caller, action authz.Action, target authz.Target) error {
	if target.Project == "" {
		return problem(http.StatusForbidden, fmt.Sprintf("%s has no right to %s in all projects; ask an administrator", who.User, action))
	}
	return problem(http.StatusForbidden, fmt.Sprintf("%s has no right to %s in project %s; ask its owner or an administrator", who.User, action, target.Project))
}

// projectTarget is a project as something that is done something to.
func projectTarget(p metadata.Project) authz.Target {
	return authz.Target{Project: p.Name, Kind: p.Kind}
}

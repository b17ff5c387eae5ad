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
	whose, where := "its owner", "project "+target.Project
	if target.Project == "" {
		whose, where = "an administrator", "all projects"
	}
	if action == authz.CreateProject || action == authz.RequestProject {
		whose = "an administrator" // there is no owner yet
	}
	if who.Cap != nil {
		return problem(http.StatusForbidden, fmt.Sprintf("%s has no right to %s in %s with the access token that is shown, which is limited: use another one",
			who.User, action, where))
	}
	remedy := "ask an administrator"
	if command := s.Authorizer.GrantCommand(who.User, action, target); command != "" {
		remedy = whose + " can run " + command
	}
	return problem(http.StatusForbidden, fmt.Sprintf("%s has no right to %s in %s; %s", who.User, action, where, remedy))
}

// projectTarget is a project as something that is done something to.
func projectTarget(p metadata.Project) authz.Target {
	return authz.Target{Project: p.Name, Kind: p.Kind}
}

package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/pulllimit"
)

// PullLimits tells what callers have left of their limits.
type PullLimits interface {
	// Standing is false where no limit applies.
	Standing(c pulllimit.Caller, project string) (pulllimit.Standing, bool)
}

// PullLimit is what the caller has left.
type PullLimit struct {
	Limited   bool       `json:"limited" doc:"Without a limit, nothing else is told"`
	Limit     int        `json:"limit,omitempty" doc:"How many pulls a window may have" example:"200"`
	Remaining int        `json:"remaining" doc:"How many are left"`
	Window    int        `json:"window,omitempty" doc:"In seconds" example:"21600"`
	Source    string     `json:"source,omitempty" doc:"The account that pulls are counted for"`
	Project   string     `json:"project,omitempty" doc:"The project whose images alone are counted, where it has a limit of its own"`
	NextAt    *time.Time `json:"nextAt,omitempty" doc:"When another pull is possible; absent: it is now"`
	ResetsAt  *time.Time `json:"resetsAt,omitempty" doc:"When nothing of what was pulled counts any more; absent: nothing does"`
}

type getLimitsInput struct {
	Credentials
	Project string `query:"project" maxLength:"255" doc:"For the images of a project, which may have a limit of its own"`
}

type getLimitsOutput struct{ Body PullLimit }

func (s *service) registerLimits(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-limits", Method: http.MethodGet, Path: "/api/v1/limits", Tags: []string{"server"},
		Summary: "Tell how many pulls the caller has left",
		Errors:  []int{http.StatusNotFound},
	}, func(ctx context.Context, who caller, in *getLimitsInput) (*getLimitsOutput, error) {
		if in.Project != "" {
			if _, err := s.visibleProject(ctx, who, in.Project); err != nil {
				return nil, err
			}
		}
		return &getLimitsOutput{Body: s.limitOf(who, in.Project)}, nil
	})
}

func (s *service) limitOf(who caller, project string) PullLimit {
	if s.PullLimits == nil {
		return PullLimit{}
	}
	standing, limited := s.PullLimits.Standing(pulllimit.Caller{Identity: who.Identity, Address: who.from}, project)
	if !limited {
		return PullLimit{}
	}
	in := func(wait time.Duration) *time.Time {
		if wait == 0 {
			return nil
		}
		at := s.Now().Add(wait).UTC()
		return &at
	}
	return PullLimit{
		Limited: true, Limit: standing.Limit.Most, Remaining: standing.Remaining, Window: int(standing.Limit.Window / time.Second),
		Source: standing.Source, Project: standing.Project, NextAt: in(standing.Wait), ResetsAt: in(standing.Full),
	}
}

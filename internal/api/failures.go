package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Failures tells what caches refused or served stale.
type Failures interface {
	// Get is metadata.ErrNotFound for an id that nobody was given, or that is too old.
	Get(ctx context.Context, id string) (metadata.Failure, error)
	List(ctx context.Context, limit int) ([]metadata.Failure, error)
	ListOf(ctx context.Context, user string, limit int) ([]metadata.Failure, error)
}

// Failure is what a cache project refused or served stale, and why. Whom it happened to,
// from where, the credential, and what the upstream said are absent for those who may not
// get upstreams/ledger; whoever it happened to is told the first.
type Failure struct {
	ID       string          `json:"id"`
	At       time.Time       `json:"at" doc:"When it happened first"`
	LastAt   time.Time       `json:"lastAt"`
	Count    int64           `json:"count" doc:"How often, since the same within ten minutes is one failure"`
	Asked    FailureAsked    `json:"asked"`
	Rule     string          `json:"rule" enum:"allow-deny,visibility,pull-limit,reserve,budget,remembered,patience,upstream,registry" doc:"What decided: the operator's lists of what may be fetched; that the upstream does not show it to strangers; this registry's own pull limit; that the upstream's pulls that are left are set aside for other projects; that the project has spent its budget of them; what the upstream said a moment ago; that the upstream had not answered when nobody waited any longer; the upstream; or this registry could not"`
	Upstream FailureUpstream `json:"upstream"`
	Answer   FailureAnswer   `json:"answer"`
}

// FailureAsked is what a client asked for.
type FailureAsked struct {
	Name      string `json:"name" doc:"As the client wrote it"`
	Kind      string `json:"kind" enum:"manifest,blob,tags,referrers"`
	Reference string `json:"reference,omitempty" doc:"A tag or a digest"`
	User      string `json:"user,omitempty" doc:"system:anonymous is a stranger"`
	Client    string `json:"client,omitempty" doc:"The address that asked first"`
}

// FailureUpstream is what was looked up, and what came of it. All but name and repository
// is absent when the upstream had nothing to do with it.
type FailureUpstream struct {
	Name       string `json:"name"`
	Repository string `json:"repository" doc:"By its name there"`
	Credential string `json:"credential,omitempty" doc:"A user name or anonymous"`
	Kind       string `json:"kind,omitempty" doc:"What kind of failure it was, such as not found or pull limit"`
	Status     int    `json:"status,omitempty" doc:"Absent when there was no answer"`
	Said       string `json:"said,omitempty"`
}

// FailureAnswer is what the client got.
type FailureAnswer struct {
	Status     int    `json:"status,omitempty" doc:"Absent for a stale copy"`
	Code       string `json:"code,omitempty"`
	Message    string `json:"message"`
	Digest     string `json:"digest,omitempty" doc:"Of the stale copy that was served"`
	AgeSeconds int64  `json:"ageSeconds,omitempty" doc:"Since that was last known to be current"`
}

// FailureList is the last failures, the newest first.
type FailureList struct {
	Items []Failure `json:"items"`
}

type failureInput struct {
	Credentials
	ID string `path:"id" maxLength:"20" doc:"Whether letters are small or not, and O or 0, does not matter"`
}

type failureOutput struct{ Body Failure }

type listFailuresInput struct {
	Credentials
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

type listFailuresOutput struct{ Body FailureList }

func (s *service) registerFailures(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-failure", Method: http.MethodGet, Path: "/api/v1/failures/{id}", Tags: []string{"failures"},
		Summary: "Tell what happened to a pull that failed, or got a stale copy", Errors: []int{http.StatusNotFound},
		Description: "For whoever may see the repository. Failures are kept for a week, and 20,000 of them.",
	}, s.getFailure)
	register(s, api, huma.Operation{
		OperationID: "list-failures", Method: http.MethodGet, Path: "/api/v1/failures", Tags: []string{"failures"},
		Summary: "List the last pulls that failed, or got a stale copy", Description: "All of them for those who may get upstreams/ledger, their own for others.",
	}, s.listFailures)
}

func (s *service) getFailure(ctx context.Context, who caller, in *failureInput) (*failureOutput, error) {
	unknown := problem(http.StatusNotFound, fmt.Sprintf("there is no failure %.20q, or not any more, or you may not see its repository: ids are kept for a week; larder explain lists those that you may see", in.ID))
	f, err := s.Failures.Get(ctx, in.ID)
	if errors.Is(err, metadata.ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	all, err := s.Authorizer.Allowed(ctx, who.Identity, authz.GetLedger, authz.Target{})
	if err != nil {
		return nil, err
	}
	if !all {
		sees, err := s.seesRepository(ctx, s.Authorizer.Allowed, who, oci.Repository(f.Repository))
		if err != nil {
			return nil, err
		}
		if !sees {
			return nil, unknown
		}
	}
	return &failureOutput{Body: failureFor(who, f, all)}, nil
}

func (s *service) listFailures(ctx context.Context, who caller, in *listFailuresInput) (*listFailuresOutput, error) {
	out := &listFailuresOutput{Body: FailureList{Items: []Failure{}}}
	all, err := s.Authorizer.Allowed(ctx, who.Identity, authz.GetLedger, authz.Target{})
	if err != nil {
		return nil, err
	}
	var found []metadata.Failure
	if all {
		found, err = s.Failures.List(ctx, in.Limit)
	} else {
		found, err = s.Failures.ListOf(ctx, who.User, in.Limit)
	}
	if err != nil {
		return nil, err
	}
	decide := s.Authorizer.ForMany()
	for _, f := range found {
		if !all {
			sees, err := s.seesRepository(ctx, decide, who, oci.Repository(f.Repository))
			if errors.Is(err, authz.ErrSpent) {
				break
			}
			if err != nil {
				return nil, err
			}
			if !sees {
				continue
			}
		}
		out.Body.Items = append(out.Body.Items, failureFor(who, f, all))
	}
	return out, nil
}

// seesRepository tells whether somebody knows of a cached repository anyway.
func (s *service) seesRepository(ctx context.Context, decide authz.Decide, who caller, repo oci.Repository) (bool, error) {
	target := repositoryTarget(repo, metadata.Cache)
	for _, action := range []authz.Action{authz.Pull, authz.Describe} {
		may, err := decide(ctx, who.Identity, action, target)
		if err == nil && may {
			return s.shows(ctx, who, target)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// failureFor is a failure as somebody may see it who may see all of them, or its
// repository alone.
func failureFor(who caller, f metadata.Failure, all bool) Failure {
	repo := oci.Repository(f.Repository)
	shown := Failure{
		ID: f.ID, At: f.FirstAt, LastAt: f.LastAt, Count: f.Count, Rule: f.Rule,
		Asked:    FailureAsked{Name: f.Asked, Kind: f.Kind, Reference: f.Reference},
		Upstream: FailureUpstream{Name: repo.Project(), Repository: repo.Rest(), Kind: f.UpstreamKind, Status: f.UpstreamStatus},
		Answer:   FailureAnswer{Status: f.Status, Code: f.Code, Message: f.Message, Digest: f.Digest, AgeSeconds: int64(f.Age.Seconds())},
	}
	if all || f.User == who.User {
		shown.Asked.User = cmp.Or(f.User, authn.UserAnonymous)
	}
	if all {
		shown.Asked.Client, shown.Upstream.Credential, shown.Upstream.Said = f.Client, f.Credential, f.UpstreamText
	}
	return shown
}

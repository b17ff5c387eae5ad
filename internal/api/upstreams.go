package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/metadata"
)

// Ledger tells what upstreams were asked for, and what they have left.
type Ledger interface {
	Status(ctx context.Context) ([]ledger.Status, error)
	Configured(upstream string) bool
	Calls(ctx context.Context, q metadata.LedgerQuery) ([]metadata.LedgerCall, error)
	Sums(ctx context.Context, upstream string, by metadata.LedgerKey, since time.Time, limit int) (sums []metadata.LedgerSum, hours bool, err error)
}

// Upstream is a remote registry and how the accounts stand that it is asked with.
type Upstream struct {
	Name     string            `json:"name" doc:"Also of its cache project"`
	URL      string            `json:"url"`
	Accounts []UpstreamAccount `json:"accounts" doc:"In the order in which they are tried; strangers are last, once for each address that they are charged by"`
	Budgets  []ProjectBudget   `json:"budgets,omitempty" doc:"What projects may spend"`
}

// ProjectBudget is how many pulls may be made for the members of a project.
type ProjectBudget struct {
	Project       string `json:"project"`
	Limit         int64  `json:"limit" doc:"Pulls in any window"`
	WindowSeconds int64  `json:"windowSeconds"`
	Spent         int64  `json:"spent" doc:"In the window now"`
}

// PullReserve is what is set aside of an account for the members of a project.
type PullReserve struct {
	Project  string `json:"project"`
	Reserved int64  `json:"reserved" doc:"Pulls in any window"`
	Spent    int64  `json:"spent" doc:"Those of them that were spent in the window now"`
}

// States of an account.
const (
	accountOK        = "ok"
	accountEmpty     = "empty"
	accountUnmetered = "unmetered"
	accountUnasked   = "unasked"
	accountResting   = "resting"
	accountRefused   = "refused"
	accountBlocked   = "blocked"
)

// UpstreamAccount is what an upstream charges. What concerns a limit is absent where the
// upstream tells of none.
type UpstreamAccount struct {
	Credential    string        `json:"credential" doc:"The user name, after the name of the project whose own it is and a slash; or anonymous"`
	Source        string        `json:"source,omitempty" doc:"What the upstream calls the account, such as an address"`
	State         string        `json:"state" enum:"ok,empty,unmetered,unasked,resting,refused,blocked" doc:"empty: no pulls are left; unmetered: it has no limit; resting: nothing, or no pull, is asked for until restsUntil; refused: the upstream does not take the credential; blocked: it wants it shown to tokenService, which is not among the upstream's realms"`
	TokenService  string        `json:"tokenService,omitempty" doc:"The host that the credential is not shown to, where state is blocked"`
	Limit         int64         `json:"limit,omitempty" doc:"Pulls in any window"`
	Left          *int64        `json:"left,omitempty" doc:"Now; below zero it is overdrawn"`
	WindowSeconds int64         `json:"windowSeconds,omitempty"`
	At            *time.Time    `json:"at,omitempty" doc:"When the upstream told of the limit last"`
	NextFree      *time.Time    `json:"nextFree,omitempty" doc:"When the next pull comes free"`
	AllFree       *time.Time    `json:"allFree,omitempty" doc:"When all of them have, if none is made"`
	BurnPerHour   float64       `json:"burnPerHour" doc:"Pulls that are spent in an hour at the present rate"`
	EmptyAt       *time.Time    `json:"emptyAt,omitempty" doc:"When none is left at that rate; absent when it does not come to that"`
	Elsewhere     int64         `json:"elsewhere,omitempty" doc:"Pulls in the window that others have spent with the same account"`
	RestsUntil    *time.Time    `json:"restsUntil,omitempty"`
	Reserves      []PullReserve `json:"reserves,omitempty" doc:"What is set aside of it for projects"`
}

// UpstreamList is all that are configured.
type UpstreamList struct {
	Items []Upstream `json:"items"`
}

type listUpstreamsInput struct{ Credentials }

type listUpstreamsOutput struct{ Body UpstreamList }

func (s *service) registerUpstreams(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "list-upstreams", Method: http.MethodGet, Path: "/api/v1/upstreams", Tags: []string{"upstreams"},
		Summary: "Tell what upstreams have left, and when it runs out", Errors: []int{http.StatusForbidden},
	}, s.listUpstreams)
}

func (s *service) listUpstreams(ctx context.Context, who caller, _ *listUpstreamsInput) (*listUpstreamsOutput, error) {
	if err := s.permit(ctx, who, authz.ListUpstreams, authz.Target{}); err != nil {
		return nil, err
	}
	all, err := s.Ledger.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := &listUpstreamsOutput{Body: UpstreamList{Items: []Upstream{}}}
	for _, u := range all {
		shown := Upstream{Name: u.Name, URL: u.URL, Accounts: []UpstreamAccount{}}
		for _, a := range u.Accounts {
			shown.Accounts = append(shown.Accounts, upstreamAccount(a))
		}
		for _, b := range u.Budgets {
			shown.Budgets = append(shown.Budgets, ProjectBudget{
				Project: b.Project, Limit: int64(b.Limit.Most), WindowSeconds: int64(b.Limit.Window.Seconds()), Spent: b.Spent,
			})
		}
		out.Body.Items = append(out.Body.Items, shown)
	}
	return out, nil
}

func upstreamAccount(a ledger.Account) UpstreamAccount {
	shown := UpstreamAccount{Credential: a.Credential, Source: a.Source, State: stateOf(a), TokenService: a.Blocked, RestsUntil: known(a.RestsUntil)}
	if !a.Metered {
		return shown
	}
	shown.Limit, shown.Left, shown.WindowSeconds, shown.Elsewhere = a.Limit, &a.Left, int64(a.Window.Seconds()), a.Elsewhere
	shown.At, shown.NextFree, shown.AllFree, shown.EmptyAt = known(a.At), known(a.NextFree), known(a.AllFree), known(a.EmptyAt)
	for _, r := range a.Reserves {
		shown.Reserves = append(shown.Reserves, PullReserve(r))
	}
	shown.BurnPerHour = math.Round(10*a.Burn) / 10
	return shown
}

func stateOf(a ledger.Account) string {
	switch {
	case a.Refused:
		return accountRefused
	case a.Blocked != "":
		return accountBlocked
	case !a.RestsUntil.IsZero():
		return accountResting
	case a.Metered && a.Left <= 0:
		return accountEmpty
	case a.Metered:
		return accountOK
	case a.Asked:
		return accountUnmetered
	}
	return accountUnasked
}

// known is nil for the zero time.
func known(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Second)
	return &at
}

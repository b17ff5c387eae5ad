package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
)

// silent is an authorizer that asks somebody who does not answer.
type silent struct{}

func (silent) Allowed(context.Context, authn.Identity, authz.Action, authz.Target) (bool, error) {
	return false, &authz.UndecidedError{Reason: "the cluster does not answer", Err: errors.New("dial tcp 10.0.0.1:6443: refused")}
}

func (s silent) ForMany() authz.Decide { return s.Allowed }

func (silent) GrantCommand(string, authz.Action, authz.Target) string { return "" }

func TestWhatNobodyCanDecideIsNeitherDoneNorDenied(t *testing.T) {
	f := newFixture(t)
	f.want(f.do(admin, "POST", "/api/v1/projects", `{"name":"demo"}`), 201, nil)
	f.config.Authorizer = silent{}
	f.handler = New(f.config)
	for _, q := range [][3]string{
		{"GET", "/api/v1/projects", ""}, {"GET", "/api/v1/projects/demo", ""}, {"GET", "/api/v1/projects/demo/retention", ""},
		{"POST", "/api/v1/projects", `{"name":"other"}`}, {"POST", "/api/v1/prune", `{}`}, {"POST", "/api/v1/fsck", ""},
		{"GET", "/api/v1/backup/metadata", ""},
	} {
		answer := f.do(admin, q[0], q[1], q[2])
		f.wantProblem(answer, 503, "the cluster does not answer; try again")
		if strings.Contains(answer.Body.String(), "10.0.0.1") {
			t.Errorf("%s %s tells of the inside: %s", q[0], q[1], answer.Body)
		}
	}
	if !strings.Contains(f.log.String(), "10.0.0.1") {
		t.Error("the log does not tell the cause")
	}
}

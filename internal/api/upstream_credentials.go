package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/credentials"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// UpstreamCredentials keeps the credentials that upstreams are asked with.
type UpstreamCredentials interface {
	Put(ctx context.Context, to string, c upstream.Credential, creator string) (added bool, err error)
	Delete(ctx context.Context, from, project, username string) error
	List(ctx context.Context) ([]credentials.Listed, error)
}

// Further states of a credential.
const (
	credentialUnreadable = "unreadable"
	credentialUnused     = "unused"
)

// UpstreamCredential is an account at an upstream. Its password is never told.
type UpstreamCredential struct {
	Upstream   string     `json:"upstream"`
	Project    string     `json:"project,omitempty" doc:"Whose own it is; absent for one that serves everybody"`
	Username   string     `json:"username"`
	Configured bool       `json:"configured,omitempty" doc:"It stands in the configuration, and can be changed there alone"`
	State      string     `json:"state" enum:"ok,resting,refused,unreadable,unused" doc:"resting: nothing, or no pull, is asked for with it until restsUntil; refused: the upstream does not take it, so it is set aside until it is changed; unreadable: its password was encrypted by a key that is not there any more; unused: its upstream is not configured"`
	RestsUntil *time.Time `json:"restsUntil,omitempty"`
	Creator    string     `json:"creator,omitempty"`
	CreatedAt  *time.Time `json:"createdAt,omitempty"`
	UpdatedAt  *time.Time `json:"updatedAt,omitempty" doc:"When the password was set last"`
}

// UpstreamCredentialList is all there are.
type UpstreamCredentialList struct {
	Items []UpstreamCredential `json:"items"`
}

// UpstreamPassword is what is set of a credential.
type UpstreamPassword struct {
	Password string `json:"password" doc:"A password or an access token of the upstream's"`
}

type listCredentialsInput struct{ Credentials }

type credentialInput struct {
	Credentials
	Upstream string `path:"upstream"`
	Username string `path:"username"`
}

type putCredentialInput struct {
	Credentials
	Upstream string `path:"upstream"`
	Username string `path:"username"`
	Body     UpstreamPassword
}

type listProjectCredentialsInput struct {
	Credentials
	Project string `path:"project"`
}

type projectCredentialInput struct {
	Credentials
	Project  string `path:"project"`
	Upstream string `path:"upstream"`
	Username string `path:"username"`
}

type putProjectCredentialInput struct {
	Credentials
	Project  string `path:"project"`
	Upstream string `path:"upstream"`
	Username string `path:"username"`
	Body     UpstreamPassword
}

type listCredentialsOutput struct{ Body UpstreamCredentialList }

type credentialOutput struct {
	Status int
	Body   UpstreamCredential
}

func (s *service) registerUpstreamCredentials(api huma.API) {
	const path = "/api/v1/credentials"
	tags := []string{"upstreams"}
	register(s, api, huma.Operation{
		OperationID: "list-credentials", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List the credentials that serve everybody", Errors: []int{http.StatusForbidden},
	}, func(ctx context.Context, who caller, _ *listCredentialsInput) (*listCredentialsOutput, error) {
		return s.listCredentials(ctx, who, "")
	})
	register(s, api, huma.Operation{
		OperationID: "get-credential", Method: http.MethodGet, Path: path + "/{upstream}/{username}", Tags: tags,
		Summary: "Read a credential that serves everybody", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, func(ctx context.Context, who caller, in *credentialInput) (*credentialOutput, error) {
		return s.getCredential(ctx, who, "", in.Upstream, in.Username)
	})
	register(s, api, huma.Operation{
		OperationID: "put-credential", Method: http.MethodPut, Path: path + "/{upstream}/{username}", Tags: tags,
		Summary: "Add a credential that serves everybody, or change its password",
		Errors:  []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, who caller, in *putCredentialInput) (*credentialOutput, error) {
		return s.putCredential(ctx, who, in.Upstream, upstream.Credential{Username: in.Username, Password: in.Body.Password})
	})
	register(s, api, huma.Operation{
		OperationID: "delete-credential", Method: http.MethodDelete, Path: path + "/{upstream}/{username}", Tags: tags,
		Summary: "Remove a credential that serves everybody", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, who caller, in *credentialInput) (*struct{}, error) {
		return nil, s.deleteCredential(ctx, who, "", in.Upstream, in.Username)
	})
}

func (s *service) registerProjectCredentials(api huma.API) {
	const path = "/api/v1/projects/{project}/credentials"
	tags := []string{"upstreams"}
	register(s, api, huma.Operation{
		OperationID: "list-project-credentials", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List a project's own credentials", Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, func(ctx context.Context, who caller, in *listProjectCredentialsInput) (*listCredentialsOutput, error) {
		return s.listCredentials(ctx, who, in.Project)
	})
	register(s, api, huma.Operation{
		OperationID: "get-project-credential", Method: http.MethodGet, Path: path + "/{upstream}/{username}", Tags: tags,
		Summary: "Read a project's own credential", Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, func(ctx context.Context, who caller, in *projectCredentialInput) (*credentialOutput, error) {
		return s.getCredential(ctx, who, in.Project, in.Upstream, in.Username)
	})
	register(s, api, huma.Operation{
		OperationID: "put-project-credential", Method: http.MethodPut, Path: path + "/{upstream}/{username}", Tags: tags,
		Summary:     "Add a project's own credential, or change its password",
		Description: "It is used for pulls of the project's service accounts and of users who may push to the project. What only it can read is for them alone.",
		Errors:      []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, who caller, in *putProjectCredentialInput) (*credentialOutput, error) {
		return s.putCredential(ctx, who, in.Upstream, upstream.Credential{Username: in.Username, Password: in.Body.Password, Project: in.Project})
	})
	register(s, api, huma.Operation{
		OperationID: "delete-project-credential", Method: http.MethodDelete, Path: path + "/{upstream}/{username}", Tags: tags,
		Summary: "Remove a project's own credential", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound},
	}, func(ctx context.Context, who caller, in *projectCredentialInput) (*struct{}, error) {
		return nil, s.deleteCredential(ctx, who, in.Project, in.Upstream, in.Username)
	})
}

// mayCredentials lets in who may do action to the credentials of a project, or to those
// that serve everybody.
func (s *service) mayCredentials(ctx context.Context, who caller, project string, action authz.Action) error {
	if project == "" {
		return s.permit(ctx, who, action, authz.Target{})
	}
	p, err := s.visibleProject(ctx, who, project)
	if err != nil {
		return err
	}
	if p.Kind == metadata.Cache {
		return problem(http.StatusBadRequest, fmt.Sprintf("project %s mirrors an upstream and has no members: name the project whose members the credential is for, or none", p.Name))
	}
	return s.permit(ctx, who, action, projectTarget(p))
}

func (s *service) listCredentials(ctx context.Context, who caller, project string) (*listCredentialsOutput, error) {
	if err := s.mayCredentials(ctx, who, project, authz.ListCredentials); err != nil {
		return nil, err
	}
	all, err := s.UpstreamCredentials.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &listCredentialsOutput{Body: UpstreamCredentialList{Items: []UpstreamCredential{}}}
	for _, c := range all {
		if c.Project == project {
			out.Body.Items = append(out.Body.Items, s.upstreamCredential(c))
		}
	}
	return out, nil
}

func (s *service) getCredential(ctx context.Context, who caller, project, of, username string) (*credentialOutput, error) {
	if err := s.mayCredentials(ctx, who, project, authz.GetCredential); err != nil {
		return nil, err
	}
	found, err := s.findCredential(ctx, project, of, username)
	if err != nil {
		return nil, err
	}
	return &credentialOutput{Status: http.StatusOK, Body: s.upstreamCredential(found)}, nil
}

// findCredential finds one that was added, or else one of the configuration.
func (s *service) findCredential(ctx context.Context, project, of, username string) (found credentials.Listed, err error) {
	all, err := s.UpstreamCredentials.List(ctx)
	if err != nil {
		return credentials.Listed{}, err
	}
	known := false
	for _, c := range all {
		if c.Project == project && c.Upstream == of && c.Username == username && (!known || !c.Configured) {
			found, known = c, true
		}
	}
	if !known {
		return credentials.Listed{}, problem(http.StatusNotFound, fmt.Sprintf("there is no credential of %.255q for upstream %.100q%s: larder upstream credential list shows those that there are", username, of, ofProject(project)))
	}
	return found, nil
}

func (s *service) putCredential(ctx context.Context, who caller, to string, c upstream.Credential) (*credentialOutput, error) {
	if err := s.mayCredentials(ctx, who, c.Project, authz.CreateCredential); err != nil {
		return nil, err
	}
	if !s.Ledger.Configured(to) {
		return nil, problem(http.StatusNotFound, fmt.Sprintf("there is no upstream %.100q: name one that is configured, such as docker-hub", to))
	}
	added, err := s.UpstreamCredentials.Put(ctx, to, c, who.User)
	if err != nil {
		return nil, credentialProblem(err, to, c)
	}
	kept, err := s.findCredential(ctx, c.Project, to, c.Username)
	if err != nil {
		return nil, err
	}
	out := &credentialOutput{Status: http.StatusOK, Body: s.upstreamCredential(kept)}
	if added {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func credentialProblem(err error, to string, c upstream.Credential) error {
	switch {
	case errors.Is(err, credentials.ErrUsername), errors.Is(err, credentials.ErrPassword):
		return problem(http.StatusBadRequest, "the credential was not kept: "+err.Error())
	case errors.Is(err, metadata.ErrTooMany):
		return problem(http.StatusConflict, fmt.Sprintf("the credential was not kept: there are %d for upstream %s%s already: remove one with larder upstream credential remove", credentials.Most, to, ofProject(c.Project)))
	case errors.Is(err, credentials.ErrNoKey):
		return problem(http.StatusConflict, "the credential was not kept, since there is no key to encrypt its password by: several servers may share this database, so give all of them one key, in the environment variable LARDER_CREDENTIAL_KEY or as credentialKeyFile, and start them again")
	}
	return err
}

// ofProject says whose own a credential is, at the end of a sentence.
func ofProject(project string) string {
	if project == "" {
		return ""
	}
	return " of project " + project
}

func (s *service) deleteCredential(ctx context.Context, who caller, project, of, username string) error {
	if err := s.mayCredentials(ctx, who, project, authz.DeleteCredential); err != nil {
		return err
	}
	found, err := s.findCredential(ctx, project, of, username)
	if err != nil {
		return err
	}
	if found.Configured {
		return problem(http.StatusConflict, fmt.Sprintf("the credential of %s for upstream %s stands in the server's configuration: its operator can take it out there and reload", username, of))
	}
	if err := s.UpstreamCredentials.Delete(ctx, of, project, username); !errors.Is(err, metadata.ErrNotFound) {
		return err
	}
	return nil // somebody else was quicker
}

func (s *service) upstreamCredential(c credentials.Listed) UpstreamCredential {
	shown := UpstreamCredential{
		Upstream: c.Upstream, Project: c.Project, Username: c.Username, Configured: c.Configured, Creator: c.Creator,
		CreatedAt: known(c.CreatedAt), UpdatedAt: known(c.UpdatedAt), State: accountOK,
	}
	rests := c.Budget.RestsUntil
	if c.Budget.AllRestsUntil.After(rests) {
		rests = c.Budget.AllRestsUntil
	}
	switch {
	case c.Unreadable:
		shown.State = credentialUnreadable
	case !c.Used:
		shown.State = credentialUnused
	case c.Budget.Refused:
		shown.State = accountRefused
	case !rests.IsZero():
		shown.State, shown.RestsUntil = accountResting, known(rests)
	}
	return shown
}

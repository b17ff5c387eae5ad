package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

// ServiceAccount is an account of a project, for machines.
type ServiceAccount struct {
	Name      string    `json:"name" example:"ci"`
	Project   string    `json:"project"`
	User      string    `json:"user" doc:"What it is called where roles are bound" example:"system:serviceaccount:demo:ci"`
	CreatedAt time.Time `json:"createdAt"`
}

// ServiceAccountRequest asks for a new service account.
type ServiceAccountRequest struct {
	Name string `json:"name" example:"ci"`
}

// ServiceAccountList is one page of a project's service accounts, ordered by name.
type ServiceAccountList struct {
	Items []ServiceAccount `json:"items"`
	Next  string           `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

type serviceAccountInput struct {
	Credentials
	Project string `path:"project"`
	Name    string `path:"name"`
}

type createServiceAccountInput struct {
	Credentials
	Project string `path:"project"`
	Body    ServiceAccountRequest
}

type listServiceAccountsInput struct {
	Credentials
	Page
	Project string `path:"project"`
}

type serviceAccountTokenInput struct {
	Credentials
	Project string `path:"project"`
	Name    string `path:"name"`
	Body    TokenRequest
}

type serviceAccountTokensInput struct {
	Credentials
	Page
	Project string `path:"project"`
	Name    string `path:"name"`
}

type deleteServiceAccountTokenInput struct {
	Credentials
	Project string `path:"project"`
	Name    string `path:"name"`
	ID      string `path:"id"`
}

type serviceAccountOutput struct{ Body ServiceAccount }

type listServiceAccountsOutput struct{ Body ServiceAccountList }

func (s *service) registerServiceAccounts(api huma.API) {
	const path = "/api/v1/projects/{project}/serviceaccounts"
	tags := []string{"service accounts"}
	register(s, api, huma.Operation{
		OperationID: "list-service-accounts", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List the service accounts of a project", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.listServiceAccounts)
	register(s, api, huma.Operation{
		OperationID: "create-service-account", Method: http.MethodPost, Path: path, Tags: tags,
		Summary: "Make a service account", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.createServiceAccount)
	register(s, api, huma.Operation{
		OperationID: "get-service-account", Method: http.MethodGet, Path: path + "/{name}", Tags: tags,
		Summary: "Read a service account", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.getServiceAccount)
	register(s, api, huma.Operation{
		OperationID: "delete-service-account", Method: http.MethodDelete, Path: path + "/{name}", Tags: tags,
		Summary: "Remove a service account and its tokens", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.deleteServiceAccount)
	register(s, api, huma.Operation{
		OperationID: "list-service-account-tokens", Method: http.MethodGet, Path: path + "/{name}/tokens", Tags: tags,
		Summary: "List the tokens of a service account", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.listServiceAccountTokens)
	register(s, api, huma.Operation{
		OperationID: "create-service-account-token", Method: http.MethodPost, Path: path + "/{name}/tokens", Tags: tags,
		Summary: "Make a token of a service account", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.createServiceAccountToken)
	register(s, api, huma.Operation{
		OperationID: "revoke-service-account-token", Method: http.MethodDelete, Path: path + "/{name}/tokens/{id}", Tags: tags,
		Summary: "Revoke a token of a service account", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.revokeServiceAccountToken)
}

// mayIn lets in who sees the project and may do action in it.
func (s *service) mayIn(ctx context.Context, who caller, project string, action authz.Action) error {
	p, err := s.visibleProject(ctx, who, project)
	if err != nil {
		return err
	}
	return s.permit(ctx, who, action, projectTarget(p))
}

func (s *service) listServiceAccounts(ctx context.Context, who caller, in *listServiceAccountsInput) (*listServiceAccountsOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.ListServiceAccounts); err != nil {
		return nil, err
	}
	after := ""
	if in.After != "" {
		after = authn.ServiceAccount(in.Project, in.After)
	}
	page, err := s.Users.List(ctx, in.Project, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listServiceAccountsOutput{Body: ServiceAccountList{Items: []ServiceAccount{}}}
	page, out.Body.Next = paged(page, in.Limit, func(u metadata.User) string { return serviceAccountOf(u).Name })
	for _, u := range page {
		out.Body.Items = append(out.Body.Items, serviceAccountOf(u))
	}
	return out, nil
}

func (s *service) createServiceAccount(ctx context.Context, who caller, in *createServiceAccountInput) (*serviceAccountOutput, error) {
	if err := s.mayIn(ctx, who, in.Project, authz.CreateServiceAccount); err != nil {
		return nil, err
	}
	if _, err := s.Accounts.CreateServiceAccount(ctx, in.Project, in.Body.Name); err != nil {
		return nil, accountProblem(err, "service account", in.Body.Name)
	}
	u, err := s.serviceAccount(ctx, in.Project, in.Body.Name)
	if err != nil {
		return nil, err
	}
	return &serviceAccountOutput{Body: serviceAccountOf(u)}, nil
}

func (s *service) getServiceAccount(ctx context.Context, who caller, in *serviceAccountInput) (*serviceAccountOutput, error) {
	u, err := s.serviceAccountFor(ctx, who, authz.GetServiceAccount, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return &serviceAccountOutput{Body: serviceAccountOf(u)}, nil
}

func (s *service) deleteServiceAccount(ctx context.Context, who caller, in *serviceAccountInput) (*struct{}, error) {
	u, err := s.serviceAccountFor(ctx, who, authz.DeleteServiceAccount, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, accountProblem(s.Accounts.Delete(ctx, u.Name), "service account", in.Name)
}

func (s *service) listServiceAccountTokens(ctx context.Context, who caller, in *serviceAccountTokensInput) (*listTokensOutput, error) {
	u, err := s.serviceAccountFor(ctx, who, authz.CreateServiceAccountToken, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return s.tokensOf(ctx, u.Name, in.Page)
}

func (s *service) createServiceAccountToken(ctx context.Context, who caller, in *serviceAccountTokenInput) (*createTokenOutput, error) {
	u, err := s.serviceAccountFor(ctx, who, authz.CreateServiceAccountToken, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return s.makeToken(ctx, u.Name, in.Body)
}

func (s *service) revokeServiceAccountToken(ctx context.Context, who caller, in *deleteServiceAccountTokenInput) (*struct{}, error) {
	u, err := s.serviceAccountFor(ctx, who, authz.CreateServiceAccountToken, in.Project, in.Name)
	if err != nil {
		return nil, err
	}
	return nil, s.revokeTokenOf(ctx, u.Name, in.ID)
}

// serviceAccountFor finds a service account for a caller who may do action in its
// project.
func (s *service) serviceAccountFor(ctx context.Context, who caller, action authz.Action, project, name string) (metadata.User, error) {
	if err := s.mayIn(ctx, who, project, action); err != nil {
		return metadata.User{}, err
	}
	return s.serviceAccount(ctx, project, name)
}

func (s *service) serviceAccount(ctx context.Context, project, name string) (metadata.User, error) {
	u, err := s.Users.Get(ctx, authn.ServiceAccount(project, name))
	if errors.Is(err, metadata.ErrNotFound) || err == nil && u.Project != project {
		return metadata.User{}, problem(http.StatusNotFound, fmt.Sprintf("service account %.130q does not exist in project %s: larder get serviceaccounts -n %s lists those that there are", name, project, project))
	}
	return u, err
}

func serviceAccountOf(u metadata.User) ServiceAccount {
	_, name, _ := authn.ParseServiceAccount(u.Name)
	return ServiceAccount{Name: name, Project: u.Project, User: u.Name, CreatedAt: u.CreatedAt.UTC()}
}

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

// Users reads the accounts: those of people, or a project's service accounts.
type Users interface {
	Get(ctx context.Context, name string) (metadata.User, error)
	List(ctx context.Context, project, after string, limit int) ([]metadata.User, error)
}

// Account is somebody who may log in.
type Account struct {
	Name      string    `json:"name"`
	Groups    []string  `json:"groups,omitempty" doc:"Those that the user is a member of; told of one user, not in lists"`
	Issuer    string    `json:"issuer,omitempty" doc:"Where the user logs in; absent where a password is kept here"`
	Disabled  bool      `json:"disabled,omitempty" doc:"The user is refused for now"`
	CreatedAt time.Time `json:"createdAt"`
	Password  string    `json:"password,omitempty" doc:"One that was made here, told once"`
}

// AccountRequest asks for a new user.
type AccountRequest struct {
	Name     string `json:"name" example:"alice"`
	Password string `json:"password,omitempty" maxLength:"1024" doc:"One is made when none is given"`
}

// AccountChange says what of a user to change.
type AccountChange struct {
	Disabled bool `json:"disabled" doc:"Refuse the user, or let them in again"`
}

// PasswordChange is a new password.
type PasswordChange struct {
	Password string `json:"password,omitempty" maxLength:"1024" doc:"One is made when none is given"`
	Old      string `json:"old,omitempty" maxLength:"1024" doc:"The one so far, when it is one's own"`
}

// NewPassword is a password that was made here.
type NewPassword struct {
	Password string `json:"password,omitempty" doc:"Told once; absent when one was given"`
}

// AccountList is one page of users, ordered by name.
type AccountList struct {
	Items []Account `json:"items"`
	Next  string    `json:"next,omitempty" doc:"Ask for the next page with after=NEXT; absent on the last page"`
}

// Page says which part of a list is asked for.
type Page struct {
	After string `query:"after" maxLength:"400" doc:"The next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type accountInput struct {
	Credentials
	Name string `path:"name"`
}

type accountOutput struct{ Body Account }

type createAccountInput struct {
	Credentials
	Body AccountRequest
}

type changeAccountInput struct {
	Credentials
	Name string `path:"name"`
	Body AccountChange
}

type passwordInput struct {
	Credentials
	Name string `path:"name"`
	Body PasswordChange
}

type passwordOutput struct{ Body NewPassword }

type pageInput struct {
	Credentials
	Page
}

type listAccountsOutput struct{ Body AccountList }

func (s *service) registerUsers(api huma.API) {
	const path = "/api/v1/users"
	tags := []string{"users"}
	register(s, api, huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: path, Tags: tags,
		Summary: "List the users", Errors: []int{http.StatusForbidden},
	}, s.listUsers)
	register(s, api, huma.Operation{
		OperationID: "create-user", Method: http.MethodPost, Path: path, Tags: tags,
		Summary: "Make a user", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusConflict},
	}, s.createUser)
	register(s, api, huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: path + "/{name}", Tags: tags,
		Summary: "Read a user", Errors: []int{http.StatusForbidden, http.StatusNotFound},
	}, s.getUser)
	register(s, api, huma.Operation{
		OperationID: "change-user", Method: http.MethodPatch, Path: path + "/{name}", Tags: tags,
		Summary: "Disable a user, or let them in again", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.changeUser)
	register(s, api, huma.Operation{
		OperationID: "delete-user", Method: http.MethodDelete, Path: path + "/{name}", Tags: tags,
		Summary: "Remove a user and their access tokens", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.deleteUser)
	register(s, api, huma.Operation{
		OperationID: "set-password", Method: http.MethodPut, Path: path + "/{name}/password", Tags: tags,
		Summary: "Change a password: one's own, for which the old one is asked, or another's",
		Errors:  []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}, s.setPassword)
}

func (s *service) listUsers(ctx context.Context, who caller, in *pageInput) (*listAccountsOutput, error) {
	if err := s.permit(ctx, who, authz.ListUsers, authz.Target{}); err != nil {
		return nil, err
	}
	page, err := s.Users.List(ctx, "", in.After, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &listAccountsOutput{Body: AccountList{Items: []Account{}}}
	page, out.Body.Next = paged(page, in.Limit, func(u metadata.User) string { return u.Name })
	for _, u := range page {
		out.Body.Items = append(out.Body.Items, s.accountOf(u))
	}
	return out, nil
}

// paged cuts a list that was read with one more than the limit, which tells whether
// another page follows.
func paged[T any](all []T, limit int, name func(T) string) (page []T, next string) {
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], name(all[limit-1])
}

func (s *service) createUser(ctx context.Context, who caller, in *createAccountInput) (*accountOutput, error) {
	if err := s.permit(ctx, who, authz.CreateUser, authz.Target{}); err != nil {
		return nil, err
	}
	made, err := s.Accounts.CreateUser(ctx, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, accountProblem(err, "user", in.Body.Name)
	}
	u, err := s.Users.Get(ctx, in.Body.Name)
	if err != nil {
		return nil, err
	}
	out := &accountOutput{Body: s.accountOf(u)}
	out.Body.Password = made
	return out, nil
}

// getUser needs no right for oneself.
func (s *service) getUser(ctx context.Context, who caller, in *accountInput) (*accountOutput, error) {
	u, err := s.user(ctx, who, authz.GetUser, in.Name)
	if err != nil {
		return nil, err
	}
	return &accountOutput{Body: s.accountOf(u)}, nil
}

// user finds the account of a person for a caller who may do action to it, or to their
// own. Service accounts belong to their projects and are not found here.
func (s *service) user(ctx context.Context, who caller, action authz.Action, name string) (metadata.User, error) {
	if name != who.User {
		if err := s.permit(ctx, who, action, authz.Target{}); err != nil {
			return metadata.User{}, err
		}
	}
	u, err := s.Users.Get(ctx, name)
	if errors.Is(err, metadata.ErrNotFound) || err == nil && u.Project != "" {
		return metadata.User{}, problem(http.StatusNotFound, fmt.Sprintf("user %.130q does not exist: larder get users lists those that there are", name))
	}
	return u, err
}

func (s *service) changeUser(ctx context.Context, who caller, in *changeAccountInput) (*struct{}, error) {
	if err := s.permit(ctx, who, authz.UpdateUser, authz.Target{}); err != nil {
		return nil, err
	}
	if _, err := s.user(ctx, who, authz.UpdateUser, in.Name); err != nil {
		return nil, err
	}
	return nil, accountProblem(s.Accounts.SetDisabled(ctx, in.Name, in.Body.Disabled), "user", in.Name)
}

func (s *service) deleteUser(ctx context.Context, who caller, in *accountInput) (*struct{}, error) {
	if err := s.permit(ctx, who, authz.DeleteUser, authz.Target{}); err != nil {
		return nil, err
	}
	if _, err := s.user(ctx, who, authz.DeleteUser, in.Name); err != nil {
		return nil, err
	}
	return nil, accountProblem(s.Accounts.Delete(ctx, in.Name), "user", in.Name)
}

// setPassword asks for the old password where it is one's own, so that whoever found an
// access token cannot take the account over.
func (s *service) setPassword(ctx context.Context, who caller, in *passwordInput) (*passwordOutput, error) {
	if _, err := s.user(ctx, who, authz.UpdateUser, in.Name); err != nil {
		return nil, err
	}
	switch in.Name {
	case who.User:
		if err := s.ownPassword(ctx, who, in.Body.Old); err != nil {
			return nil, err
		}
	case authn.UserAdmin:
		return nil, problem(http.StatusForbidden, "the password of admin is changed by admin alone, with larder passwd; if it is lost, larder admin reset-password --data DIR makes another while the server is stopped")
	}
	made, err := s.Authenticator.SetPassword(ctx, in.Name, in.Body.Password)
	if err != nil {
		return nil, accountProblem(err, "user", in.Name)
	}
	return &passwordOutput{Body: NewPassword{Password: made}}, nil
}

func (s *service) ownPassword(ctx context.Context, who caller, old string) error {
	if err := s.uncapped(who, "change a password"); err != nil {
		return err
	}
	if old == "" {
		return problem(http.StatusBadRequest, "the password was not changed: send the old one as well, as larder passwd does")
	}
	id, credential, err := s.Authenticator.Basic(ctx, who.User, old, who.from)
	if errors.Is(err, authn.ErrInvalidCredentials) || err == nil && (id.User != who.User || credential.TokenID != "") {
		return problem(http.StatusForbidden, "the password was not changed: the old one is wrong")
	}
	return err
}

// uncapped refuses access tokens that are limited, since what concerns an account as a
// whole is more than any limit, and the tokens of a cluster, since the account is there.
func (s *service) uncapped(who caller, what string) error {
	if who.credential.Reviewed {
		return problem(http.StatusForbidden, fmt.Sprintf("this token and the account are the cluster's, and cannot %s here: make tokens on the cluster, as with kubectl create token", what))
	}
	if who.Cap.Covers(authn.ScopeAdmin, "", "") {
		return nil
	}
	return problem(http.StatusForbidden, fmt.Sprintf("this access token is limited and cannot %s: log in with larder login, or use a token of the scope admin", what))
}

func (s *service) accountOf(u metadata.User) Account {
	return Account{Name: u.Name, Groups: u.GroupsAt(s.Now()), Issuer: u.Issuer, Disabled: u.Disabled, CreatedAt: u.CreatedAt.UTC()}
}

// accountProblem turns what package authn refuses into an answer.
func accountProblem(err error, what, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, authn.ErrName):
		return problem(http.StatusBadRequest, err.Error())
	case errors.Is(err, metadata.ErrExists):
		return problem(http.StatusConflict, fmt.Sprintf("%s %s was not made: there is one of that name already; choose another name", what, name))
	case errors.Is(err, metadata.ErrNotFound):
		return problem(http.StatusNotFound, fmt.Sprintf("%s %.130q does not exist", what, name))
	case errors.Is(err, authn.ErrAdminStays):
		return problem(http.StatusConflict, authn.ErrAdminStays.Error())
	case errors.Is(err, authn.ErrNoPassword):
		return problem(http.StatusConflict, fmt.Sprintf("%s %s logs in without a password of this registry: there is none to change", what, name))
	}
	return err
}

package distribution

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// refuse gives what does not exist and what the caller may not see one answer, so that
// nobody can probe for names. Whoever sees the repository is told which right is missing,
// and who can give it.
func (h *Handler) refuse(ctx context.Context, x *exchange, need string, missing authz.Action) error {
	repo, id := x.target.Repository, x.who.identity
	if id.Anonymous() {
		return loginNeeded("log in to this registry to %s %s", need, repo)
	}
	sees, err := h.sees(ctx, x, need)
	switch {
	case err != nil:
		return err
	case sees && need == authn.ActionPush && x.target.Kind == metadata.Cache:
		return h.pushToCache(ctx, x)
	case sees:
		return h.refuseMember(ctx, x, need, missing)
	case need == authn.ActionPush:
		return denied("project %s does not exist or you may not push to it; %s",
			repo.Project(), h.remedy(id.User, authz.Push, repo))
	}
	return &oci.Error{Code: oci.CodeNameUnknown, Message: fmt.Sprintf("repository %s does not exist or you may not %s it", repo, need)}
}

// sees tells whether the caller knows of the repository anyway, or of the project when
// something is pushed to it. The right that is asked for and missing is none of these.
func (h *Handler) sees(ctx context.Context, x *exchange, need string) (bool, error) {
	knowing := []authz.Action{authz.Pull, authz.Describe, authz.List}
	if need == authn.ActionPush {
		knowing = append(knowing, authz.GetProject)
	}
	for _, action := range knowing {
		target := object(x.target)
		if action == authz.List || action == authz.GetProject {
			target.Repository = ""
		}
		if may, err := h.Authorizer.Allowed(ctx, x.who.identity, action, target); err != nil || may {
			return may, err
		}
	}
	return false, nil
}

// refuseMember says what is missing: a right, or a scope of the access token that is shown.
func (h *Handler) refuseMember(ctx context.Context, x *exchange, need string, missing authz.Action) error {
	repo, id := x.target.Repository, x.who.identity
	if id.Cap != nil {
		id.Cap = nil
		if may, err := h.Authorizer.Allowed(ctx, id, missing, object(x.target)); err != nil || may {
			return cmp.Or(err, denied("you may not %s %s with the access token that you show: use one that is not limited like it", need, repo))
		}
	}
	why := "that takes"
	if missing == authz.CreateRepository {
		why = "it does not exist, and to make it takes"
	}
	return denied("you may not %s %s: %s the right to %s in project %s; %s",
		need, repo, why, missing, repo.Project(), h.remedy(id.User, missing, repo))
}

// remedy says who can give a right in a repository's project, and how.
func (h *Handler) remedy(user string, missing authz.Action, repo oci.Repository) string {
	command := h.Authorizer.GrantCommand(user, missing, authz.Target{Project: repo.Project()})
	if command == "" {
		return "ask an administrator"
	}
	return "its owner can run " + command
}

func denied(format string, args ...any) error {
	return &oci.Error{Code: oci.CodeDenied, Message: fmt.Sprintf(format, args...)}
}

// preparePush sees to it that the project is one to push to. The first push of
// somebody who may make projects makes a hosted one.
func (h *Handler) preparePush(ctx context.Context, x *exchange) error {
	switch x.target.Kind {
	case metadata.Hosted:
		return nil
	case metadata.Cache:
		return h.pushToCache(ctx, x)
	}
	if x.route.endpoint == endpointUpload {
		return projectUnknown(x.target.Repository)
	}
	return h.makeProject(ctx, x)
}

// makeProject makes the project of a first push. When somebody else was faster, the caller
// has what rights there are in it now.
func (h *Handler) makeProject(ctx context.Context, x *exchange) error {
	repo, id := x.target.Repository, x.who.identity
	if err := oci.CheckProject(repo.Project()); err != nil {
		return err
	}
	err := h.Projects.MakeProject(ctx, id, metadata.Project{Name: repo.Project(), Kind: metadata.Hosted, Creator: id.User, CreatedAt: h.Now()})
	if err != nil && !errors.Is(err, metadata.ErrExists) {
		return fmt.Errorf("making project %s: %w", repo.Project(), err)
	}
	x.target.Kind, x.target.Images = metadata.Hosted, h.Hosted
	if err == nil {
		return nil
	}
	missing, err := h.missing(ctx, x, authn.ActionPush)
	if err == nil && missing != "" {
		missing, err = h.missingStill(ctx, x, missing)
	}
	if err != nil || missing == "" {
		return err
	}
	return h.refuse(ctx, x, authn.ActionPush, missing)
}

// pushToCache refuses a push into a cache project and names a project that takes it.
func (h *Handler) pushToCache(ctx context.Context, x *exchange) error {
	project := x.target.Repository.Project()
	suggestion := "make a project with larder new-project demo, and push to demo/" + baseName(x.target.Repository)
	instead, found, err := h.hostedInstead(ctx, x)
	if err != nil {
		return err
	}
	if found {
		suggestion = "push to a hosted project, for example to " + instead.String()
	}
	return &oci.Error{
		Code:    oci.CodeUnsupported,
		Message: fmt.Sprintf("project %s mirrors an upstream registry and takes no pushes: %s", project, suggestion),
	}
}

// hostedInstead finds a repository that the caller may push to in place of a cached one,
// as far as that can be decided at once.
func (h *Handler) hostedInstead(ctx context.Context, x *exchange) (_ oci.Repository, found bool, err error) {
	hosted, err := h.Hosted.HostedProjects(ctx)
	if err != nil {
		return "", false, err
	}
	decide := h.Authorizer.ForMany()
	for _, name := range hosted {
		target := Target{Repository: oci.Repository(name + "/" + baseName(x.target.Repository)), Kind: metadata.Hosted}
		may, err := may(ctx, decide, x.who.identity, authn.ActionPush, target)
		if errors.Is(err, authz.ErrSpent) {
			return "", false, nil
		}
		if may || err != nil {
			return target.Repository, may, err
		}
	}
	return "", false, nil
}

func baseName(repo oci.Repository) string {
	return repo.String()[strings.LastIndexByte(repo.String(), '/')+1:]
}

func projectUnknown(repo oci.Repository) error {
	return &oci.Error{
		Code:    oci.CodeNameUnknown,
		Message: fmt.Sprintf("repository %s does not exist: there is no project %s", repo, repo.Project()),
	}
}

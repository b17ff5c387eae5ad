package distribution

import (
	"context"
	"fmt"
	"strings"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// refuse gives what does not exist and what the caller may not see one answer, so that
// nobody can probe for names. Whoever sees the repository is told what is missing.
func (h *Handler) refuse(ctx context.Context, x *exchange, need string) error {
	repo := x.target.Repository
	if x.who.identity.Anonymous() {
		return loginNeeded("log in to this registry to %s %s", need, repo)
	}
	sees, err := h.may(ctx, x.who.identity, authn.ActionPull, x.target)
	if err != nil {
		return err
	}
	sees = sees && need != authn.ActionPull
	switch {
	case sees && need == authn.ActionPush && x.target.Kind == metadata.Cache:
		return h.pushToCache(ctx, x)
	case sees:
		return denied("you may not %s %s: that needs the right to %s in project %s", need, repo, right(need), repo.Project())
	case need == authn.ActionPush:
		return denied("project %s does not exist or you may not push to it; its owner can run larder new-project %s",
			repo.Project(), repo.Project())
	}
	return &oci.Error{Code: oci.CodeNameUnknown, Message: fmt.Sprintf("repository %s does not exist or you may not %s it", repo, need)}
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
	if err := h.Hosted.EnsureProject(ctx, x.target.Repository.Project(), x.who.identity.User); err != nil {
		return err
	}
	x.target.Kind, x.target.Images = metadata.Hosted, h.Hosted
	return nil
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

// hostedInstead finds a repository that the caller may push to in place of a cached one.
func (h *Handler) hostedInstead(ctx context.Context, x *exchange) (_ oci.Repository, found bool, err error) {
	hosted, err := h.Hosted.HostedProjects(ctx)
	if err != nil {
		return "", false, err
	}
	for _, name := range hosted {
		target := Target{Repository: oci.Repository(name + "/" + baseName(x.target.Repository)), Kind: metadata.Hosted}
		may, err := h.may(ctx, x.who.identity, authn.ActionPush, target)
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

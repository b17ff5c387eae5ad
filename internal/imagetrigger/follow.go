package imagetrigger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// finder reads each tag once for all workloads of a look.
type finder struct {
	*Controller
	digests map[string]digest.Digest // "" for a tag that is not there
}

// follow sets the images of a workload to what its tags name.
func (f *finder) follow(ctx context.Context, w Workload) error {
	triggers, err := Parse(w.Annotations[Annotation])
	if err != nil {
		return err
	}
	var operations []kube.Operation
	var wrong []error
	for _, t := range triggers {
		if t.Paused {
			continue
		}
		change, err := f.change(ctx, w, t)
		wrong = append(wrong, err)
		operations = append(operations, change...)
	}
	if len(operations) > 0 {
		wrong = append(wrong, f.patch(ctx, w, operations))
	}
	return errors.Join(wrong...)
}

func (f *finder) patch(ctx context.Context, w Workload, operations []kube.Operation) error {
	err := f.Cluster.Patch(ctx, w.Path(), operations)
	switch {
	case errors.Is(err, kube.ErrNoObject):
		f.forget(w)
		return nil
	case errors.Is(err, kube.ErrChanged):
		return nil // of which is heard, and then it is looked at again
	case err == nil:
		f.Log.Info("a workload follows a tag that has moved", "workload", w.String())
	}
	return err
}

// change are the operations by which a trigger's container gets the image that its tag
// names; none when it has it, or there is no such tag.
func (f *finder) change(ctx context.Context, w Workload, t Trigger) ([]kube.Operation, error) {
	list, at, err := t.Container(w)
	if err != nil {
		return nil, err
	}
	repository, tag, err := t.Tag(w.Namespace)
	if err != nil {
		return nil, err
	}
	d, err := f.digest(ctx, repository, tag)
	if err != nil || d == "" {
		return nil, err
	}
	container := w.Containers(list)[at]
	image := f.Host + "/" + repository.String() + "@" + d.String()
	if container.Image == image {
		return nil, nil
	}
	if err := f.may(ctx, w, repository); err != nil {
		return nil, err
	}
	path := "/" + strings.ReplaceAll(w.Kind.template, ".", "/") + "/" + list + "/" + strconv.Itoa(at)
	return []kube.Operation{
		// Another container may stand there by now, and somebody may just have set the image.
		{Op: "test", Path: path + "/name", Value: container.Name},
		{Op: "test", Path: path + "/image", Value: container.Image},
		{Op: "replace", Path: path + "/image", Value: image},
	}, nil
}

func (f *finder) digest(ctx context.Context, repository oci.Repository, tag string) (digest.Digest, error) {
	name := repository.String() + ":" + tag
	if d, read := f.digests[name]; read {
		return d, nil
	}
	t, err := f.Tags.Get(ctx, repository.String(), tag)
	if err != nil && !errors.Is(err, metadata.ErrNotFound) {
		return "", err
	}
	f.digests[name] = t.Digest
	return t.Digest, nil
}

// may tells whether the service account of a workload's pods may pull: an image that they
// could not pull would stop them, and nobody is told by it what is in a project that is
// closed to them.
func (f *finder) may(ctx context.Context, w Workload, repository oci.Repository) error {
	project, err := f.Projects.Get(ctx, repository.Project())
	if err != nil {
		return err
	}
	user := authn.ServiceAccount(w.Namespace, w.Account)
	id := authn.IdentityOf(metadata.User{Name: user, Project: w.Namespace}, f.Now())
	allowed, err := f.Authorizer.Allowed(ctx, id, authz.Pull, authz.Target{Project: repository.Project(), Repository: repository.String(), Kind: project.Kind})
	if err == nil && !allowed {
		err = fmt.Errorf("its pods may not pull %s: give %s the role system:image-puller in project %s", repository, user, repository.Project())
	}
	return err
}

package server

import (
	"context"
	"strings"

	"github.com/larder-registry/larder/internal/imports"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/warm"
)

// warmer fetches images by the names of one configuration.
func (s *Server) warmer(n *names) *warm.Warmer {
	return &warm.Warmer{Held: s.floor.held, Find: n.find}
}

// find finds an image by its name here, as docker-hub/nginx:1.27, or by the name that it has
// in its own registry, as nginx:1.27 or quay.io/acme/app:1.
func (n *names) find(ctx context.Context, text string) (warm.Target, error) {
	image, err := imports.ParseImage(text)
	if err != nil {
		return warm.Target{}, &oci.Error{Code: oci.CodeNameInvalid, Message: err.Error()}
	}
	ref, err := oci.ParseReference(image.Reference)
	if err != nil {
		return warm.Target{}, err
	}
	name, ns := image.Repository, image.Host
	if project, _, _ := strings.Cut(text, "/"); n.isProject(ctx, project) {
		name, ns = hereName(text), ""
	}
	target, err := n.Resolve(ctx, name, ns)
	if err != nil {
		return warm.Target{}, err
	}
	return warm.Target{Repository: target.Repository, Reference: ref, Kind: target.Kind, Images: target.Images}, nil
}

// isProject tells whether a name's first part is a project here.
func (n *names) isProject(ctx context.Context, name string) bool {
	if _, ok := n.caches[name]; ok {
		return true
	}
	_, err := n.projects.Get(ctx, name)
	return err == nil
}

// hereName cuts the tag and the digest off an image's name.
func hereName(text string) string {
	name, _, _ := strings.Cut(text, "@")
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name = name[:at]
	}
	return name
}

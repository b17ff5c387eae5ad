package imagecopy

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Registries talks to registries. It is safe for concurrent use.
type Registries struct {
	puller *remote.Puller
	pusher *remote.Pusher
	// stored remembers in which repository a blob was stored: written is its key.
	stored sync.Map
}

// written is a blob in a registry that was written to.
type written struct {
	registry name.Registry
	digest   digest.Digest
}

// Client says how registries are spoken to.
type Client struct {
	Keychain  authn.Keychain
	Transport http.RoundTripper
	UserAgent string
	// Jobs bounds how many blobs are read at once.
	Jobs int
}

// New makes Registries.
func (c Client) New() (*Registries, error) {
	options := []remote.Option{
		remote.WithAuthFromKeychain(c.Keychain), remote.WithTransport(c.Transport),
		remote.WithUserAgent(c.UserAgent), remote.WithJobs(max(1, c.Jobs)),
	}
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, fmt.Errorf("preparing to read from registries: %w", err)
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return nil, fmt.Errorf("preparing to write to registries: %w", err)
	}
	return &Registries{puller: puller, pusher: pusher}, nil
}

func (r *Registries) source(p Place) source {
	switch {
	case p.Archive:
		return newArchive(p)
	case p.Folder != "":
		return newFolder(p)
	}
	return &registry{Registries: r, image: p.image}
}

func (r *Registries) destination(p Place) destination {
	if p.Folder != "" {
		return newFolder(p)
	}
	return &registry{Registries: r, image: p.image}
}

// Tags lists the tags of a repository in a registry.
func (r *Registries) tags(ctx context.Context, repository name.Repository) ([]string, error) {
	tags, err := r.puller.List(ctx, repository)
	if err != nil {
		return nil, explain("listing the tags of", repository.Name(), repository.Registry, err)
	}
	return tags, nil
}

// manifest is one as the library stores it.
type manifest struct{ oci.Manifest }

// RawManifest is the bytes as they are.
func (m manifest) RawManifest() ([]byte, error) { return m.Content, nil }

package gc

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// named collects what the manifests of a repository name.
func (p *pass) named(ctx context.Context, repository string) (map[digest.Digest]bool, error) {
	all := map[digest.Digest]bool{}
	for after := digest.Digest(""); ; {
		manifests, err := p.DB.Manifests.List(ctx, repository, after, manifestPage)
		if err != nil || len(manifests) == 0 {
			return all, err
		}
		for _, m := range manifests {
			for _, d := range oci.NamedDigests(m.Content) {
				all[d] = true
			}
		}
		after = manifests[len(manifests)-1].Digest
	}
}

func unnamed(blobs []digest.Digest, named map[digest.Digest]bool) []digest.Digest {
	return slices.DeleteFunc(blobs, func(d digest.Digest) bool { return named[d] })
}

// pages cuts a list into pieces that one statement takes.
func pages[T any](all []T) [][]T { return slices.Collect(slices.Chunk(all, rowPage)) }

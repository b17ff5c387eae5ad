package admission

import (
	"context"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

const (
	// ResolveNames is the annotation by which a pod asks, with the value AllNames, that all
	// its short names are looked up, also in repositories that are not set to it. It is
	// OpenShift's.
	ResolveNames = "alpha.image.policy.openshift.io/resolve-names"
	// AllNames is the one value that counts.
	AllNames = "*"
	// lookupWithin is what all lookups of a review may take together: the API server waits
	// for two seconds in all.
	lookupWithin = 50 * time.Millisecond
)

// short reads a name that may mean a repository of the namespace's project: of one part,
// and without a registry.
func short(namespace, image string, always bool) (found metadata.LocalImage, ok bool) {
	if strings.Contains(image, "/") {
		return metadata.LocalImage{}, false
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return metadata.LocalImage{}, false
	}
	name := strings.TrimPrefix(reference.Path(named), "library/")
	repo, err := oci.ParseRepository(namespace + "/" + name)
	if err != nil {
		return metadata.LocalImage{}, false
	}
	found = metadata.LocalImage{Repository: repo.String(), Always: always}
	if digested, is := named.(reference.Digested); is {
		found.Digest = digested.Digest()
		return found, true
	}
	if tagged, is := reference.TagNameOnly(named).(reference.Tagged); is {
		found.Tag = tagged.Tag()
	}
	return found, true
}

// local is the image that a short name means in a namespace, by its digest: a tag that
// moves later does not change a pod.
func (h *Handler) local(ctx context.Context, namespace, image string, always bool) (to string, found bool) {
	if h.Local == nil {
		return "", false
	}
	asked, ok := short(namespace, image, always)
	if !ok {
		return "", false
	}
	var d digest.Digest
	if d, found = h.Local(ctx, asked); !found {
		return "", false
	}
	return h.Rules.Host + "/" + asked.Repository + "@" + d.String(), true
}

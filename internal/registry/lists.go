package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// maxReferrers bounds one answer to a referrers request.
const maxReferrers = 1000

// Tags lists a repository's tags in bytewise order (OCI Distribution 1.1, §Listing
// tags). The error is NAME_UNKNOWN when the repository does not exist.
func (r *Registry) Tags(ctx context.Context, _ oci.Caller, repo oci.Repository, page oci.TagPage) (oci.TagList, oci.Served, error) {
	tags, err := r.db.Tags.List(ctx, repo.String(), page.Last, page.Limit+1)
	known := len(tags) > 0
	if err == nil && !known {
		known, err = r.db.Repositories.Exists(ctx, repo.String())
	}
	if err != nil {
		return oci.TagList{}, oci.Served{}, fmt.Errorf("listing the tags of %s: %w", repo, err)
	}
	if !known {
		return oci.TagList{}, oci.Served{}, repositoryUnknown(repo)
	}
	if len(tags) > page.Limit {
		return oci.TagList{Tags: tags[:page.Limit], More: page.Limit > 0}, oci.Served{}, nil
	}
	return oci.TagList{Tags: tags}, oci.Served{}, nil
}

// Referrers returns an image index of the manifests whose subject is d, and whether
// it was filtered by artifactType, "" meaning all (OCI Distribution 1.1, §Listing
// referrers). No referrers, or no repository, give an empty index.
func (r *Registry) Referrers(ctx context.Context, _ oci.Caller, repo oci.Repository, d digest.Digest, artifactType string) (index []byte, filtered bool, served oci.Served, err error) {
	found, err := r.db.Manifests.Referrers(ctx, repo.String(), d, artifactType, maxReferrers)
	if err != nil {
		return nil, false, oci.Served{}, fmt.Errorf("listing the referrers of %s in %s: %w", d, repo, err)
	}
	if len(found) == maxReferrers {
		r.log.Warn("a list of referrers was cut", "repository", repo, "subject", d, "limit", maxReferrers)
	}
	list := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: make([]v1.Descriptor, 0, len(found)),
	}
	for _, m := range found {
		referrer, err := describeReferrer(m)
		if err != nil {
			return nil, false, oci.Served{}, fmt.Errorf("reading referrer %s of %s: %w", m.Digest, d, err)
		}
		list.Manifests = append(list.Manifests, referrer)
	}
	index, err = json.Marshal(list)
	if err != nil {
		return nil, false, oci.Served{}, fmt.Errorf("writing the referrers of %s: %w", d, err)
	}
	return index, artifactType != "", oci.Served{}, nil
}

func describeReferrer(m oci.Manifest) (v1.Descriptor, error) {
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{
		MediaType:    m.MediaType,
		Digest:       m.Digest,
		Size:         int64(len(m.Content)),
		ArtifactType: content.ArtifactType,
		Annotations:  content.Annotations,
	}, nil
}

// Repositories lists at most limit repository names after the given one, in bytewise
// order, whoever may see them.
func (r *Registry) Repositories(ctx context.Context, after string, limit int) ([]string, error) {
	names, err := r.db.Repositories.List(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("listing repositories: %w", err)
	}
	return names, nil
}

// Search lists at most limit repositories after the given name, in bytewise order, whose
// names or descriptions hold a text in small letters, whoever may see them.
func (r *Registry) Search(ctx context.Context, text, after string, limit int) ([]metadata.Repository, error) {
	all, err := r.db.Repositories.Search(ctx, text, after, limit)
	if err != nil {
		return nil, fmt.Errorf("searching for %q: %w", text, err)
	}
	return all, nil
}

package pullthrough

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// Tags lists the upstream's tags or, when it cannot be asked, those that are held.
func (c *Cache) Tags(ctx context.Context, caller oci.Caller, repo oci.Repository, page oci.TagPage) (oci.TagList, oci.Served, error) {
	held, _, heldErr := c.Held.Tags(ctx, caller, repo, page)
	if err := c.admit(ctx, caller, repo, "", heldErr == nil && len(held.Tags) > 0); err != nil {
		return oci.TagList{}, c.missed(err), asName(err)
	}
	list, err := c.Upstream.Tags(ctx, upstream.Any, repo.Rest(), page)
	if err == nil {
		c.noteAnonymousSuccess(ctx, repo)
		return list, passed(), nil
	}
	if heldErr != nil || len(held.Tags) == 0 {
		err := asName(c.refused(repo, "its tags", err))
		return oci.TagList{}, c.missed(err), err
	}
	return held, c.fromHeld(err), nil
}

// Referrers lists what the upstream knows to refer to a digest: from its referrers
// API, else from the referrers tag (OCI Distribution 1.1, §Referrers Tag Schema),
// else what is held. filtered tells that only the artifact type asked for is listed.
func (c *Cache) Referrers(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest, artifactType string) (index []byte, filtered bool, served oci.Served, err error) {
	filtered = artifactType != ""
	held, _, _, err := c.Held.Referrers(ctx, caller, repo, d, artifactType)
	if err != nil {
		return nil, false, c.missed(err), err
	}
	_, _, heldErr := c.Held.StatManifest(ctx, caller, repo, oci.Reference{Digest: d})
	if err := c.admit(ctx, caller, repo, d.String(), heldErr == nil); err != nil {
		return nil, false, c.missed(err), asName(err)
	}
	listed, err := c.Upstream.Referrers(ctx, upstream.Any, repo.Rest(), d, artifactType)
	served = passed()
	if kind := upstream.KindOf(err); kind == upstream.NotFound || kind == upstream.Denied {
		listed, served, err = c.referrersByTag(ctx, caller, repo, d)
	}
	if err != nil {
		return held, filtered, c.fromHeld(err), nil
	}
	index, err = filterReferrers(listed, artifactType)
	return index, filtered, served, err
}

// referrersByTag reads the index that clients keep under a tag made of the digest,
// where the upstream has no referrers API. No such tag means no referrers.
func (c *Cache) referrersByTag(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) ([]byte, oci.Served, error) {
	tag := oci.Reference{Tag: strings.Replace(d.String(), ":", "-", 1)}
	if _, _, err := c.StatManifest(ctx, caller, repo, tag); oci.CodeOf(err) == oci.CodeManifestUnknown {
		return []byte(`{}`), passed(), nil
	}
	manifest, served, err := c.Manifest(ctx, caller, repo, tag)
	return manifest.Content, served, err
}

// filterReferrers keeps the descriptors of one artifact type, "" for all, and only
// what a referrers list consists of.
func filterReferrers(content []byte, artifactType string) ([]byte, error) {
	var index v1.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, &oci.Error{Code: oci.CodeUpstreamInvalid, Message: "the upstream's list of referrers cannot be read", Err: err}
	}
	kept := make([]v1.Descriptor, 0, len(index.Manifests))
	for _, m := range index.Manifests {
		if artifactType == "" || m.ArtifactType == artifactType {
			kept = append(kept, m)
		}
	}
	index.SchemaVersion, index.MediaType, index.Manifests = 2, v1.MediaTypeImageIndex, kept
	filtered, err := json.Marshal(index)
	if err != nil {
		return nil, fmt.Errorf("writing a list of referrers: %w", err)
	}
	return filtered, nil
}

// passed describes a list that came from the upstream and is not kept.
func passed() oci.Served {
	return oci.Served{Cache: &oci.CacheStatus{Forward: "miss", ForwardStatus: 200}}
}

// fromHeld describes a list of what is held, in place of the upstream's own.
func (c *Cache) fromHeld(err error) oci.Served {
	c.Metrics.stale(c.Project)
	return oci.Served{
		Cache:   &oci.CacheStatus{Hit: true, Detail: "stale-if-error"},
		Warning: "only what is held here is listed: " + c.trouble(err),
	}
}

// asName gives a not-found the code that a repository's has.
func asName(err error) error { return withCode(err, oci.CodeNameUnknown) }

// asBlob gives a not-found the code that a blob's has.
func asBlob(err error) error { return withCode(err, oci.CodeBlobUnknown) }

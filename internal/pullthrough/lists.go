package pullthrough

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// Tags lists the upstream's tags or, when it cannot be asked or does not answer soon,
// those that are held.
func (c *Cache) Tags(ctx context.Context, caller oci.Caller, repo oci.Repository, page oci.TagPage) (oci.TagList, oci.Served, error) {
	if page.Limit == 0 {
		return c.noTags(ctx, caller, repo)
	}
	held, _, err := c.Held.Tags(ctx, caller, repo, page)
	if err != nil && oci.CodeOf(err) != oci.CodeNameUnknown {
		return oci.TagList{}, c.missed(err), err
	}
	if err := c.admit(ctx, caller, repo, tagsReference, len(held.Tags) > 0); err != nil {
		return oci.TagList{}, c.missed(err), asName(err)
	}
	tags, joined, err := c.upstreamTags(ctx, caller, repo, page, len(held.Tags) > 0)
	if refusal := c.again(ctx, caller, repo, tagsReference); refusal != nil {
		return oci.TagList{}, c.missed(refusal), asName(refusal)
	}
	switch {
	case err == nil:
		return tags, passed(joined), nil
	case len(held.Tags) == 0 || ctx.Err() != nil:
		err = asName(err)
		return oci.TagList{}, c.missed(err), err
	}
	return held, c.fromHeld(err), nil
}

// noTags answers a request for no tags at all (`n=0`: OCI Distribution 1.1, §Listing
// Tags): an empty list, unless even one tag could not be listed.
func (c *Cache) noTags(ctx context.Context, caller oci.Caller, repo oci.Repository) (oci.TagList, oci.Served, error) {
	_, served, err := c.Tags(ctx, caller, repo, oci.TagPage{Limit: 1})
	return oci.TagList{}, served, err
}

func (c *Cache) upstreamTags(ctx context.Context, caller oci.Caller, repo oci.Repository, page oci.TagPage, held bool) (_ oci.TagList, joined bool, err error) {
	asked := c.question(caller, repo, tagsReference)
	what := fmt.Sprintf("tags %s %d %s for %s", repo, page.Limit, page.Last, asked.audience)
	return list(ctx, c, what, held, func(ctx context.Context) (oci.TagList, error) {
		if err := c.rememberedNotFound(asked); err != nil {
			return oci.TagList{}, err
		}
		tags, err := c.Upstream.Tags(ctx, c.asker(caller, repo), repo.Rest(), page)
		if err != nil {
			return oci.TagList{}, c.refused(asked, err)
		}
		c.noteAnonymousSuccess(ctx, repo)
		return tags, nil
	})
}

// Referrers lists what the upstream knows to refer to a digest: from its referrers
// API, else from the referrers tag (OCI Distribution 1.1, §Referrers Tag Schema),
// else what is held. filtered tells that only the artifact type asked for is listed.
func (c *Cache) Referrers(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest, artifactType string) (index []byte, filtered bool, served oci.Served, err error) {
	filtered = artifactType != ""
	_, _, err = c.Held.StatManifest(ctx, caller, repo, oci.Reference{Digest: d})
	if err := c.admit(ctx, caller, repo, d.String(), err == nil); err != nil {
		return nil, false, c.missed(err), asName(err)
	}
	listed, served, err := c.upstreamReferrers(ctx, caller, repo, d, artifactType)
	if refusal := c.again(ctx, caller, repo, d.String()); refusal != nil {
		return nil, false, c.missed(refusal), asName(refusal)
	}
	if err == nil {
		index, err = filterReferrers(listed, artifactType)
	}
	if err != nil {
		index, served, err = c.heldReferrers(ctx, caller, repo, d, artifactType, err)
	}
	return index, filtered, served, err
}

func (c *Cache) upstreamReferrers(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest, artifactType string) ([]byte, oci.Served, error) {
	byTag := c.holdsReferrersTag(ctx, repo, d)
	held, err := c.holdsReferrers(ctx, repo, d, artifactType)
	if err != nil {
		return nil, oci.Served{}, err
	}
	what := fmt.Sprintf("referrers %s %s %s for %s", repo, d, artifactType, c.question(caller, repo, "").audience)
	listed, joined, err := list(ctx, c, what, held || byTag, func(ctx context.Context) ([]byte, error) {
		return c.Upstream.Referrers(ctx, c.asker(caller, repo), repo.Rest(), d, artifactType)
	})
	if kind := upstream.KindOf(err); kind == upstream.NotFound || kind == upstream.Denied || err != nil && byTag {
		return c.referrersByTag(ctx, caller, repo, d)
	}
	return listed, passed(joined), err
}

// referrersByTag reads the index that clients keep under a tag made of the digest,
// where the upstream has no referrers API. No such tag means no referrers. The HEAD
// comes first because most images have none, and a GET for nothing counts as a pull.
func (c *Cache) referrersByTag(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) ([]byte, oci.Served, error) {
	tag := referrersTag(d)
	_, served, err := c.StatManifest(ctx, caller, repo, tag)
	if oci.CodeOf(err) == oci.CodeManifestUnknown {
		return []byte(`{}`), c.missed(err), nil
	}
	if err != nil {
		return nil, served, err
	}
	manifest, served, err := c.Manifest(ctx, caller, repo, tag)
	return manifest.Content, served, err
}

func referrersTag(d digest.Digest) oci.Reference {
	return oci.Reference{Tag: strings.Replace(d.String(), ":", "-", 1)}
}

func (c *Cache) holdsReferrersTag(ctx context.Context, repo oci.Repository, d digest.Digest) bool {
	state, known, err := c.tag(ctx, tagKey{repo, referrersTag(d).Tag})
	return err == nil && known && state.held
}

func (c *Cache) holdsReferrers(ctx context.Context, repo oci.Repository, d digest.Digest, artifactType string) (bool, error) {
	held, err := c.DB.Manifests.Referrers(ctx, string(repo), d, artifactType, 1)
	return len(held) > 0, err
}

// heldReferrers lists what is held when the upstream's list cannot be had. No list is
// given where nothing is held: whoever looks for signatures would take it for "none".
func (c *Cache) heldReferrers(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest, artifactType string, failure error) ([]byte, oci.Served, error) {
	held, err := c.holdsReferrers(ctx, repo, d, artifactType)
	if err == nil && !held {
		err = asName(c.refused(c.question(caller, repo, "referrers of "+d.String()), failure))
	}
	if err == nil { // a stranger may have been let through to the upstream, and no further
		err = c.admit(ctx, caller, repo, d.String(), true)
	}
	var index []byte
	if err == nil {
		index, _, _, err = c.Held.Referrers(ctx, caller, repo, d, artifactType)
	}
	if err != nil {
		return nil, c.missed(err), err
	}
	return index, c.fromHeld(failure), nil
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
func passed(joined bool) oci.Served {
	return oci.Served{Cache: &oci.CacheStatus{Forward: "miss", ForwardStatus: 200, Collapsed: joined}}
}

// fromHeld describes a list of what is held, in place of the upstream's own.
func (c *Cache) fromHeld(err error) oci.Served {
	c.Metrics.stale(c.Project)
	if _, told := errors.AsType[earlier](err); !told {
		c.Log.Warn("listing what is held in place of the upstream's list", "upstream", c.Project, "error", err)
	}
	return oci.Served{
		Cache:   &oci.CacheStatus{Hit: true, Detail: "stale-if-error"},
		Warning: "only what is held here is listed: " + c.trouble(err),
		Cause:   err,
	}
}

// asName gives a not-found the code that a repository's has.
func asName(err error) error { return withCode(err, oci.CodeNameUnknown) }

// asBlob gives a not-found the code that a blob's has.
func asBlob(err error) error { return withCode(err, oci.CodeBlobUnknown) }

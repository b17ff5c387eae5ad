package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// damaged tells the hosted blobs that were found damaged, now or before, and were not
// pushed since.
func (f *fsck) damaged(ctx context.Context) error {
	var after digest.Digest
	for {
		page, err := f.db.Damaged.List(ctx, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, d := range page {
			found := &Finding{What: "blob", Digest: d.Digest, Reason: d.Reason + ", found on " + d.FoundAt.Format("2006-01-02 15:04:05 MST"), Advice: advicePush}
			if err := f.name(ctx, found); err != nil {
				return err
			}
			if err := f.mend(ctx, d, found); err != nil {
				return err
			}
			if err := f.tell(found); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Digest
	}
}

// dangling tells links of hosted repositories that lead to nothing.
func (f *fsck) dangling(ctx context.Context) error {
	var after metadata.DanglingLink
	for {
		page, err := f.db.Blobs.Dangling(ctx, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, link := range page {
			found := &Finding{What: "blob", Digest: link.Digest, Reason: "it is linked and not stored", Repositories: []string{link.Repository}, Advice: advicePush}
			if found.Tags, err = f.images(ctx, link.Repository, link.Digest); err != nil {
				return err
			}
			if err := f.tell(found); err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

// name finds a blob's hosted repositories and the images that have it.
func (f *fsck) name(ctx context.Context, found *Finding) error {
	uses, err := f.db.Blobs.LinkedBy(ctx, found.Digest, "", maxNamed)
	if err != nil {
		return err
	}
	for _, use := range uses {
		if use.Kind != metadata.Hosted {
			continue
		}
		found.Repositories = append(found.Repositories, use.Repository)
		images, err := f.images(ctx, use.Repository, found.Digest)
		if err != nil {
			return err
		}
		found.Tags = append(found.Tags, images...)
	}
	found.Tags = found.Tags[:min(len(found.Tags), maxNamed)]
	return nil
}

// images names the tags of a repository whose manifests, or indexes of such manifests,
// refer to the digest; where no tag does, the manifests themselves.
func (f *fsck) images(ctx context.Context, repo string, d digest.Digest) ([]string, error) {
	concerned, err := f.referring(ctx, repo, map[digest.Digest]bool{d: true})
	if err == nil && len(concerned) > 0 {
		var above map[digest.Digest]bool
		above, err = f.referring(ctx, repo, concerned)
		for one := range above {
			concerned[one] = true
		}
	}
	if err != nil {
		return nil, err
	}
	return f.tagged(ctx, repo, concerned)
}

// referring is those manifests of a repository that refer to one of the digests, at most
// twenty.
func (f *fsck) referring(ctx context.Context, repo string, to map[digest.Digest]bool) (map[digest.Digest]bool, error) {
	found := map[digest.Digest]bool{}
	err := f.eachManifest(ctx, repo, func(m oci.Manifest) error {
		for d := range to {
			if len(found) < maxNamed && bytes.Contains(m.Content, []byte(d)) {
				found[m.Digest] = true
			}
		}
		return nil
	})
	return found, err
}

// tagged names manifests by their tags, or by their digests where none has a tag.
func (f *fsck) tagged(ctx context.Context, repo string, manifests map[digest.Digest]bool) ([]string, error) {
	var named []string
	for after := ""; len(manifests) > 0; {
		page, err := f.db.Tags.Entries(ctx, repo, after, fsckPage)
		if err != nil {
			return nil, err
		}
		for _, t := range page {
			if manifests[t.Digest] && len(named) < maxNamed {
				named = append(named, repo+":"+t.Name)
			}
			after = t.Name
		}
		if len(page) < fsckPage {
			break
		}
	}
	if len(named) == 0 {
		for d := range manifests {
			named = append(named, repo+"@"+d.String())
		}
	}
	return named, nil
}

// manifests verifies every manifest, and in hosted repositories that all it refers to is
// there. What a cache lacks was not asked for yet.
func (f *fsck) manifests(ctx context.Context) error {
	kinds := map[string]metadata.Kind{}
	for after := ""; ; {
		page, err := f.db.Repositories.List(ctx, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, repo := range page {
			name := oci.Repository(repo).Project()
			if _, known := kinds[name]; !known {
				project, err := f.db.Projects.Get(ctx, name)
				if err != nil {
					return err
				}
				clear(kinds) // they come project by project
				kinds[name] = project.Kind
			}
			err := f.eachManifest(ctx, repo, func(m oci.Manifest) error { return f.manifest(ctx, repo, kinds[name], m) })
			if err != nil {
				return err
			}
		}
		after = page[len(page)-1]
	}
}

func (f *fsck) eachManifest(ctx context.Context, repo string, do func(oci.Manifest) error) error {
	var after digest.Digest
	for {
		page, err := f.db.Manifests.List(ctx, repo, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			if err := do(m); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Digest
	}
}

func (f *fsck) manifest(ctx context.Context, repo string, kind metadata.Kind, m oci.Manifest) error {
	f.progress.Manifests++
	found := &Finding{What: "manifest", Digest: m.Digest, Repositories: []string{repo}, Advice: adviceDelete}
	if got := m.Digest.Algorithm().FromBytes(m.Content); got != m.Digest {
		found.Reason, found.Advice = fmt.Sprintf("its %d bytes have digest %s", len(m.Content), got), "delete it and push the image again, or restore the database from a backup"
	} else if kind == metadata.Hosted {
		missing, err := f.missing(ctx, repo, m)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			found.Reason = "it refers to what the repository does not have: " + strings.Join(missing, ", ")
		}
	}
	if found.Reason == "" {
		return f.tell(nil)
	}
	// It may have been deleted since the page was read.
	if _, err := f.db.Manifests.Get(ctx, repo, m.Digest); errors.Is(err, metadata.ErrNotFound) {
		return nil
	}
	var err error
	if found.Tags, err = f.tagged(ctx, repo, map[digest.Digest]bool{m.Digest: true}); err != nil {
		return err
	}
	return f.tell(found)
}

// missing is what a manifest refers to and its repository does not link.
func (f *fsck) missing(ctx context.Context, repo string, m oci.Manifest) ([]string, error) {
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil { // it refers to nothing that Larder knows
		return nil, nil
	}
	var missing []string
	for _, d := range content.Blobs() {
		linked, err := f.db.Blobs.Linked(ctx, repo, d)
		if err != nil {
			return nil, err
		}
		if !linked && len(missing) < maxNamed {
			missing = append(missing, "blob "+d.String())
		}
	}
	for _, child := range content.Manifests {
		_, err := f.db.Manifests.Get(ctx, repo, child.Digest)
		if err != nil && !errors.Is(err, metadata.ErrNotFound) {
			return nil, err
		}
		if err != nil && len(missing) < maxNamed {
			missing = append(missing, "manifest "+child.Digest.String())
		}
	}
	return missing, nil
}

// Package warm fills caches before anybody asks, and tells what could not be pulled if
// the upstreams were gone.
package warm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// maxManifests bounds how many manifests of one image are looked at.
	maxManifests = 1000
	// DefaultPlatform is the one that is fetched when none is chosen.
	DefaultPlatform = "linux/amd64"
	// keepPatience is how long a blob that has come may take to be stored.
	keepPatience = time.Minute
	// AllPlatforms stands for every platform that an image has.
	AllPlatforms = "all"
)

// Images is where an image is pulled from: a cache, which fetches what it does not have,
// or the images that are here.
type Images interface {
	StatManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error)
	Manifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error)
	Blob(ctx context.Context, caller oci.Caller, repo oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error)
}

// Target is an image and where it is pulled from.
type Target struct {
	Repository oci.Repository
	Reference  oci.Reference
	Kind       metadata.Kind
	Images     Images
}

// String is the image as it is written.
func (t Target) String() string {
	if t.Reference.ByTag() {
		return t.Repository.String() + ":" + t.Reference.Tag
	}
	return t.Repository.String() + "@" + t.Reference.String()
}

// Cost is what it takes to have an image here.
type Cost struct {
	Digest digest.Digest
	// Pulls is how many manifests are asked for by GET, which is what upstreams count.
	Pulls int
	// Blobs and Bytes are what is transferred.
	Blobs int
	Bytes int64
	// Unknown is how many manifests are not here, so that what they refer to is not known.
	Unknown int
}

// Warmer fetches images. It is safe for concurrent use.
type Warmer struct {
	// Held is what is here.
	Held Images
	// Find finds where an image is pulled from. The error is an *oci.Error.
	Find func(ctx context.Context, image string) (Target, error)
}

// work is one image under way.
type work struct {
	*Warmer
	Target
	caller    oci.Caller
	platforms []string
	dry       bool
	cost      Cost
	seen      map[digest.Digest]bool
}

// Warm fetches what is not here of an image: of the platforms chosen, else of
// DefaultPlatform.
func (w *Warmer) Warm(ctx context.Context, t Target, caller oci.Caller, platforms []string) (Cost, error) {
	return w.work(t, caller, platforms).run(ctx)
}

// Price tells what Warm would cost. It costs a HEAD of the tag at most, which no upstream
// counts.
func (w *Warmer) Price(ctx context.Context, t Target, caller oci.Caller, platforms []string) (Cost, error) {
	job := w.work(t, caller, platforms)
	job.dry = true
	return job.run(ctx)
}

func (w *Warmer) work(t Target, caller oci.Caller, platforms []string) *work {
	if len(platforms) == 0 {
		platforms = []string{DefaultPlatform}
	}
	return &work{Warmer: w, Target: t, caller: caller, platforms: platforms, seen: map[digest.Digest]bool{}}
}

func (j *work) run(ctx context.Context) (Cost, error) {
	if !j.dry {
		m, served, err := j.Images.Manifest(ctx, j.caller, j.Repository, j.Reference)
		if err != nil {
			return j.cost, err
		}
		j.cost.Digest = m.Digest
		j.countPull(served)
		err = j.manifest(ctx, m)
		return j.cost, err
	}
	head, _, err := j.Images.StatManifest(ctx, j.caller, j.Repository, j.Reference)
	if err != nil {
		return j.cost, err
	}
	j.cost.Digest = head.Digest
	m, held, err := j.held(ctx, head.Digest)
	switch {
	case err != nil:
		return j.cost, err
	case held:
		err = j.manifest(ctx, m)
		return j.cost, err
	}
	j.unknown(oci.IsIndex(head.MediaType))
	return j.cost, nil
}

// unknown counts a manifest that is not here, and those of the platforms that its index
// would have.
func (j *work) unknown(index bool) {
	n := 1
	if index {
		n += len(j.platforms)
	}
	j.cost.Pulls += n
	j.cost.Unknown += n
}

// countPull counts a manifest that was not here.
func (j *work) countPull(served oci.Served) {
	if served.Cache != nil && served.Cache.Forward == "miss" {
		j.cost.Pulls++
	}
}

// held finds a manifest that is here.
func (j *work) held(ctx context.Context, d digest.Digest) (oci.Manifest, bool, error) {
	m, _, err := j.Held.Manifest(ctx, j.caller, j.Repository, oci.Reference{Digest: d})
	if code := oci.CodeOf(err); code == oci.CodeManifestUnknown || code == oci.CodeNameUnknown {
		return oci.Manifest{}, false, nil
	}
	return m, err == nil, err
}

// manifest goes through what a manifest refers to.
func (j *work) manifest(ctx context.Context, m oci.Manifest) error {
	if j.seen[m.Digest] {
		return nil
	}
	j.seen[m.Digest] = true
	if len(j.seen) > maxManifests {
		return fmt.Errorf("%s has more than %d manifests", j.Target, maxManifests)
	}
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return nil //nolint:nilerr // whatever it is, it refers to nothing that clients fetch
	}
	chosen, err := choose(content.Manifests, j.platforms)
	if err != nil {
		return fmt.Errorf("%s: %w", j.Target, err)
	}
	for _, child := range chosen {
		if err := j.child(ctx, child.Digest); err != nil {
			return err
		}
	}
	blobs := slices.Clone(content.Layers)
	if content.Config != nil {
		blobs = append(blobs, *content.Config)
	}
	for _, b := range blobs {
		if err := j.blob(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", j.Target, err)
		}
	}
	return nil
}

func (j *work) child(ctx context.Context, d digest.Digest) error {
	if j.dry {
		m, held, err := j.held(ctx, d)
		if err != nil {
			return err
		}
		if !held {
			j.unknown(false)
			return nil
		}
		return j.manifest(ctx, m)
	}
	m, served, err := j.Images.Manifest(ctx, j.caller, j.Repository, oci.Reference{Digest: d})
	if err != nil {
		return err
	}
	j.countPull(served)
	return j.manifest(ctx, m)
}

// blob fetches a blob unless it is here.
func (j *work) blob(ctx context.Context, b oci.Descriptor) error {
	if j.seen[b.Digest] {
		return nil
	}
	j.seen[b.Digest] = true
	held, err := opens(ctx, j.Held, j.caller, j.Repository, b.Digest)
	if err != nil || held {
		return err
	}
	j.cost.Blobs++
	j.cost.Bytes += b.Size
	if j.dry {
		return nil
	}
	blob, _, err := j.Images.Blob(ctx, j.caller, j.Repository, b.Digest)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }()
	if _, err := io.Copy(io.Discard, blob); err != nil {
		return err
	}
	if err := blob.Verified(ctx); err != nil {
		return err
	}
	return j.kept(ctx, b.Digest)
}

// kept waits until a blob that has come is stored, which is a little later.
func (j *work) kept(ctx context.Context, d digest.Digest) error {
	for began, pause := time.Now(), time.Millisecond; ; pause = min(2*pause, time.Second) {
		held, err := opens(ctx, j.Held, j.caller, j.Repository, d)
		if err != nil || held {
			return err
		}
		if time.Since(began) > keepPatience {
			return &oci.Error{Code: oci.CodeInsufficientSpace, Message: "blob " + d.String() + " came and could not be kept: look whether the registry's disk is full"}
		}
		if err := sleep.For(ctx, pause); err != nil {
			return err
		}
	}
}

// opens tells whether a blob of a repository is here, its bytes included.
func opens(ctx context.Context, held Images, caller oci.Caller, repo oci.Repository, d digest.Digest) (bool, error) {
	blob, _, err := held.Blob(ctx, caller, repo, d)
	if code := oci.CodeOf(err); code == oci.CodeBlobUnknown || code == oci.CodeNameUnknown || errors.Is(err, registry.ErrDamaged) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, blob.Close()
}

// choose finds the images of an index that are for the platforms; what is attached to
// images, such as attestations, is for none.
func choose(all []oci.Platform, platforms []string) ([]oci.Platform, error) {
	var chosen []oci.Platform
	images := 0
	for _, p := range all {
		if p.OS == "" || p.OS == "unknown" {
			continue
		}
		images++
		if slices.Contains(platforms, AllPlatforms) || slices.ContainsFunc(platforms, func(wanted string) bool { return fits(p, wanted) }) {
			chosen = append(chosen, p)
		}
	}
	if images > 0 && len(chosen) == 0 {
		return nil, &oci.Error{
			Code:    oci.CodeManifestUnknown,
			Message: "it has no image for " + strings.Join(platforms, ", ") + ": choose another with --platform",
		}
	}
	return chosen, nil
}

// fits tells whether an image is for a platform as people write it, OS/ARCHITECTURE with
// or without a variant.
func fits(p oci.Platform, wanted string) bool {
	name := p.OS + "/" + p.Architecture
	return wanted == name || wanted == name+"/"+p.Variant
}

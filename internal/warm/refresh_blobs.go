package warm

import (
	"context"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/sleep"
)

// maxUnfinished bounds the tags whose blobs are tried again; the oldest are given up first.
const maxUnfinished = 1000

// unfinished is a tag that has moved, and whose blobs have not all come.
type unfinished struct {
	tag   metadata.TagName
	moved time.Time
}

// finish fetches what did not come in earlier turns. The error is one that others would meet
// as well.
func (r *Refresher) finish(ctx context.Context, name string) error {
	for {
		u, left := r.nextUnfinished(name)
		if !left {
			return nil
		}
		if err := sleep.For(ctx, r.Pause); err != nil {
			return err
		}
		if err := r.tryAgain(ctx, name, u); err != nil {
			return err
		}
	}
}

func (r *Refresher) tryAgain(ctx context.Context, name string, u unfinished) error {
	of, ok := r.Open(name)
	if !ok {
		return nil
	}
	defer of.Close()
	return r.cameOf(ctx, name, u.tag, true, r.fetch(ctx, of, u))
}

// fetch fetches the blobs of an image whose manifests are here: those of the platforms that
// were pulled before the tag moved. What does not come is tried again until the tag is due.
func (r *Refresher) fetch(ctx context.Context, of Refreshed, u unfinished) error {
	repo, ref := oci.Repository(u.tag.Repository), oci.Reference{Tag: u.tag.Tag}
	m, _, err := r.Held.Manifest(ctx, of.caller(), repo, ref)
	if code := oci.CodeOf(err); code == oci.CodeManifestUnknown || code == oci.CodeNameUnknown {
		return nil // it was evicted since
	}
	job := (&Warmer{Held: r.Held}).work(Target{Repository: repo, Reference: ref, Kind: metadata.Cache, Images: of.Cache}, of.caller(), nil)
	if err == nil {
		err = job.whatIsHere(ctx, m)
	}
	if err != nil {
		if outcomeOf(true, err) != outcomeRefused && r.Now().Sub(u.moved) < of.Every {
			r.leaveUnfinished(u)
		}
		return err
	}
	r.Log.Info("a tag moved upstream and was refreshed before anybody pulled it",
		"repository", repo.String(), "tag", u.tag.Tag, "digest", m.Digest, "blobs", job.cost.Blobs, "bytes", job.cost.Bytes)
	return nil
}

// whatIsHere goes through an image, of an index through those of its images that are here.
func (j *work) whatIsHere(ctx context.Context, m oci.Manifest) error {
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil || !content.Index() {
		return j.manifest(ctx, m)
	}
	for _, child := range content.Manifests {
		m, held, err := j.held(ctx, child.Digest)
		if err == nil && held {
			err = j.manifest(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextUnfinished takes the tag of an upstream that has waited longest for another try.
func (r *Refresher) nextUnfinished(name string) (unfinished, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, u := range r.unfinished {
		if oci.Repository(u.tag.Repository).Project() == name {
			r.unfinished = slices.Delete(r.unfinished, i, i+1)
			return u, true
		}
	}
	return unfinished{}, false
}

// leaveUnfinished lets a tag wait for another try, behind all others.
func (r *Refresher) leaveUnfinished(u unfinished) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unfinished = slices.DeleteFunc(r.unfinished, func(o unfinished) bool { return o.tag == u.tag })
	if len(r.unfinished) >= maxUnfinished {
		r.unfinished = slices.Delete(r.unfinished, 0, 1)
	}
	r.unfinished = append(r.unfinished, u)
}

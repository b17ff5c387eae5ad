package warm

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// Missing is something that a client would need and that is not here.
type Missing struct {
	Kind   string        `json:"kind" enum:"repository,tag,manifest,platform,blob"`
	Digest digest.Digest `json:"digest,omitempty"`
	Name   string        `json:"name,omitempty" doc:"The tag, or the platforms that none is here of"`
}

// Drill treats the upstream as gone and tells what is missing of an image: of the
// platforms chosen, else of those that are here, of which there has to be one.
func (w *Warmer) Drill(ctx context.Context, t Target, caller oci.Caller, platforms []string) ([]Missing, error) {
	d := &drill{work: w.work(t, caller, platforms), any: len(platforms) == 0}
	m, _, err := w.Held.Manifest(ctx, caller, t.Repository, t.Reference)
	switch code := oci.CodeOf(err); {
	case code == oci.CodeManifestUnknown || code == oci.CodeNameUnknown:
		if t.Reference.ByTag() {
			return []Missing{{Kind: "tag", Name: t.Reference.Tag}}, nil
		}
		return []Missing{{Kind: "manifest", Digest: t.Reference.Digest}}, nil
	case err != nil:
		return nil, err
	}
	err = d.manifest(ctx, m)
	return d.missing, err
}

type drill struct {
	*work
	any     bool // one platform that is here will do
	missing []Missing
}

func (d *drill) manifest(ctx context.Context, m oci.Manifest) error {
	if d.seen[m.Digest] || len(d.seen) > maxManifests {
		return nil
	}
	d.seen[m.Digest] = true
	content, err := oci.ParseManifest(m.MediaType, m.Content)
	if err != nil {
		return nil //nolint:nilerr // whatever it is, it is here
	}
	if content.Index() {
		return d.children(ctx, content.Manifests)
	}
	for _, b := range content.Blobs() {
		if d.seen[b] {
			continue
		}
		d.seen[b] = true
		here, err := opens(ctx, d.Held, d.caller, d.Repository, b)
		if err != nil {
			return err
		}
		if !here {
			d.missing = append(d.missing, Missing{Kind: "blob", Digest: b})
		}
	}
	return nil
}

// children goes through the images of an index.
func (d *drill) children(ctx context.Context, all []oci.Platform) error {
	platforms := d.platforms
	if d.any {
		platforms = []string{AllPlatforms}
	}
	chosen, err := choose(all, platforms)
	if err != nil {
		d.missing = append(d.missing, Missing{Kind: "platform", Name: strings.Join(d.platforms, ", ")})
		return nil //nolint:nilerr // that is the finding
	}
	here := 0
	for _, child := range chosen {
		m, held, err := d.held(ctx, child.Digest)
		if err != nil {
			return err
		}
		if held {
			here++
			if err := d.manifest(ctx, m); err != nil {
				return err
			}
		} else if !d.any {
			d.missing = append(d.missing, Missing{Kind: "manifest", Digest: child.Digest, Name: child.OS + "/" + child.Architecture})
		}
	}
	if d.any && here == 0 && len(chosen) > 0 {
		d.missing = append(d.missing, Missing{Kind: "platform", Name: "any"})
	}
	return nil
}

package distribution

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	// previewRepository is where clients look how many pulls they have left, as on Docker
	// Hub. No project can have its name.
	previewRepository oci.Repository = "ratelimitpreview/test"
	previewTag        string         = "latest"
)

// preview is the image of previewRepository: a small file, made here, that everybody may
// pull.
type preview struct {
	manifest oci.Manifest
	blobs    map[digest.Digest][]byte
}

func newPreview() *preview {
	layer := previewLayer()
	config := encode(v1.Image{
		Platform: v1.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer)}},
	})
	describe := func(mediaType string, content []byte) v1.Descriptor {
		return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	}
	manifest := encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    describe(v1.MediaTypeImageConfig, config),
		Layers:    []v1.Descriptor{describe(v1.MediaTypeImageLayer, layer)},
	})
	return &preview{
		manifest: oci.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Content: manifest},
		blobs:    map[digest.Digest][]byte{digest.FromBytes(config): config, digest.FromBytes(layer): layer},
	}
}

// previewLayer is a tar archive, and not compressed: so its digest is the same whatever
// Larder was built with.
func previewLayer() []byte {
	const text = "This image is there to look at the headers of its manifest, which tell how many pulls are left.\n"
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	// Nothing of this fails in memory.
	_ = w.WriteHeader(&tar.Header{Name: "README", Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return layer.Bytes()
}

// encode writes what always can be written as JSON.
func encode(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}

// target is what the name of the preview means.
func (p *preview) target() Target {
	return Target{Repository: previewRepository, Images: p, Open: true}
}

// StatManifest implements Manifests.
func (p *preview) StatManifest(ctx context.Context, caller oci.Caller, repo oci.Repository, ref oci.Reference) (oci.Descriptor, oci.Served, error) {
	m, served, err := p.Manifest(ctx, caller, repo, ref)
	return m.Descriptor(), served, err
}

// Manifest implements Manifests.
func (p *preview) Manifest(_ context.Context, _ oci.Caller, _ oci.Repository, ref oci.Reference) (oci.Manifest, oci.Served, error) {
	if ref.Tag != previewTag && ref.Digest != p.manifest.Digest {
		return oci.Manifest{}, oci.Served{}, &oci.Error{Code: oci.CodeManifestUnknown, Message: fmt.Sprintf("%s has the tag %s and no other", previewRepository, previewTag)}
	}
	return p.manifest, oci.Served{}, nil
}

// StatBlob implements Blobs.
func (p *preview) StatBlob(_ context.Context, _ oci.Caller, _ oci.Repository, d digest.Digest) (oci.Descriptor, oci.Served, error) {
	content, ok := p.blobs[d]
	if !ok {
		return oci.Descriptor{}, oci.Served{}, noPreviewBlob(d)
	}
	return oci.Descriptor{MediaType: mediaTypeBlob, Digest: d, Size: int64(len(content))}, oci.Served{}, nil
}

// Blob implements Blobs.
func (p *preview) Blob(_ context.Context, _ oci.Caller, _ oci.Repository, d digest.Digest) (oci.Blob, oci.Served, error) {
	content, ok := p.blobs[d]
	if !ok {
		return nil, oci.Served{}, noPreviewBlob(d)
	}
	return previewBlob{bytes.NewReader(content)}, oci.Served{}, nil
}

// Tags implements Lists.
func (p *preview) Tags(_ context.Context, _ oci.Caller, _ oci.Repository, page oci.TagPage) (oci.TagList, oci.Served, error) {
	if page.Last >= previewTag || page.Limit == 0 {
		return oci.TagList{}, oci.Served{}, nil
	}
	return oci.TagList{Tags: []string{previewTag}}, oci.Served{}, nil
}

// Referrers implements Lists: nothing refers to the image.
func (p *preview) Referrers(_ context.Context, _ oci.Caller, _ oci.Repository, _ digest.Digest, artifactType string) ([]byte, bool, oci.Served, error) {
	empty := encode(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}})
	return empty, artifactType != "", oci.Served{}, nil
}

// DeleteManifest implements Deleter.
func (p *preview) DeleteManifest(context.Context, oci.Repository, digest.Digest) error {
	return previewStays()
}

// DeleteTag implements Deleter.
func (p *preview) DeleteTag(context.Context, oci.Repository, string) error { return previewStays() }

// DeleteBlob implements Deleter.
func (p *preview) DeleteBlob(context.Context, oci.Repository, digest.Digest) error {
	return previewStays()
}

func previewStays() error {
	return &oci.Error{Code: oci.CodeUnsupported, Message: fmt.Sprintf("%s is the registry's own and cannot be deleted", previewRepository)}
}

func noPreviewBlob(d digest.Digest) error {
	return &oci.Error{Code: oci.CodeBlobUnknown, Message: fmt.Sprintf("%s does not have the blob %s", previewRepository, d)}
}

// previewBlob is one of the two blobs of the image.
type previewBlob struct{ *bytes.Reader }

// Stored says that all bytes are there.
func (b previewBlob) Stored() io.ReadSeeker { return b.Reader }

// Size implements oci.Blob.
func (b previewBlob) Size() int64 { return b.Reader.Size() }

// Verified implements oci.Blob.
func (previewBlob) Verified(context.Context) error { return nil }

// Close implements oci.Blob.
func (previewBlob) Close() error { return nil }

package hubsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Format is a family of media types.
type Format int

const (
	// OCI is the OCI image specification's.
	OCI Format = iota
	// Docker is image manifest version 2, schema 2.
	Docker
)

// Image describes an image to be made. The same description always makes the
// same bytes.
type Image struct {
	// Seed tells images apart that are alike otherwise.
	Seed uint64
	// LayerSizes are the sizes of the layers in bytes. Layers of 2 KiB and
	// more are gzipped archives that clients can unpack; smaller ones are just
	// bytes. Any size costs the time to hash it and no memory.
	LayerSizes []int64
	// Platforms makes an index (in the Docker format: a manifest list) with an
	// image of its own layers for each. Empty: one linux/amd64 manifest and no
	// index.
	Platforms []ocispec.Platform
	Format    Format
}

// Pushed is what AddImage made.
type Pushed struct {
	// Descriptor is what the tag points at: the index, or the only manifest.
	ocispec.Descriptor
	Raw []byte
	// Manifests are the images' manifests in the order of Image.Platforms;
	// without an index the one that Raw is.
	Manifests []PushedManifest
	// Bytes is the size of everything: manifests, configs, layers.
	Bytes int64
}

// PushedManifest is the manifest of one platform.
type PushedManifest struct {
	ocispec.Descriptor
	Raw    []byte
	Config ocispec.Descriptor
	Layers []ocispec.Descriptor
}

type mediaTypes struct{ index, manifest, config, layer string }

func (f Format) mediaTypes() mediaTypes {
	if f == Docker {
		return mediaTypes{dockerManifestList, dockerManifest, dockerConfig, dockerLayer}
	}
	return mediaTypes{
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest,
		ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip,
	}
}

// AddImage makes an image, stores it and points the tag at it. An empty tag
// leaves it to be found by its digest.
func (h *Hub) AddImage(repository, tag string, image Image) Pushed {
	platforms := image.Platforms
	if len(platforms) == 0 {
		platforms = []ocispec.Platform{{OS: "linux", Architecture: "amd64"}}
	}
	var pushed Pushed
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: image.Format.mediaTypes().index,
	}
	for _, platform := range platforms {
		m := h.addPlatform(repository, image, platform)
		pushed.Manifests = append(pushed.Manifests, m)
		pushed.Bytes += m.Size + m.Config.Size
		for _, l := range m.Layers {
			pushed.Bytes += l.Size
		}
		entry := m.Descriptor
		entry.Platform = &platform
		index.Manifests = append(index.Manifests, entry)
	}
	pushed.Descriptor, pushed.Raw = pushed.Manifests[0].Descriptor, pushed.Manifests[0].Raw
	if len(image.Platforms) > 0 {
		pushed.Raw = marshal(index)
		pushed.Descriptor = describe(index.MediaType, pushed.Raw)
		pushed.Bytes += pushed.Size
	}
	h.store.addManifest(repository, tag, newManifest(pushed.MediaType, pushed.Raw))
	return pushed
}

// addPlatform stores one platform's manifest with its config and layers.
func (h *Hub) addPlatform(repository string, image Image, platform ocispec.Platform) PushedManifest {
	types := image.Format.mediaTypes()
	created := time.Unix(1_700_000_000, 0).UTC()
	config := ocispec.Image{Created: &created, Platform: platform}
	config.Config.Labels = map[string]string{"seed": fmt.Sprint(image.Seed)}
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}}

	made := PushedManifest{Layers: []ocispec.Descriptor{}}
	for i, size := range image.LayerSizes {
		l := newLayer(layerSeed(image.Seed, platform, i), size)
		h.store.addBlob(repository, l.blob)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		made.Layers = append(made.Layers, ocispec.Descriptor{MediaType: types.layer, Digest: l.digest, Size: l.size})
	}
	rawConfig := marshal(config)
	made.Config = describe(types.config, rawConfig)
	h.store.addBlob(repository, literalBlob(rawConfig))

	made.Raw = marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: types.manifest,
		Config:    made.Config,
		Layers:    made.Layers,
	})
	made.Descriptor = describe(types.manifest, made.Raw)
	h.store.addManifest(repository, "", newManifest(types.manifest, made.Raw))
	return made
}

func layerSeed(seed uint64, platform ocispec.Platform, index int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s/%s/%s %d", seed, platform.OS, platform.Architecture, platform.Variant, index))
	return binary.LittleEndian.Uint64(sum[:])
}

// AddManifest stores a manifest as it is and points the tag at it; an empty
// tag leaves it to be found by its digest. Nothing is checked: what it refers
// to may be missing.
func (h *Hub) AddManifest(repository, tag, mediaType string, raw []byte) digest.Digest {
	m := newManifest(mediaType, bytes.Clone(raw))
	h.store.addManifest(repository, tag, m)
	return m.digest
}

// AddBlob stores a blob and links it to the repository.
func (h *Hub) AddBlob(repository string, raw []byte) digest.Digest {
	b := literalBlob(bytes.Clone(raw))
	h.store.addBlob(repository, b)
	return b.digest
}

// OpenBlob reads a blob, whichever repository holds it.
func (h *Hub) OpenBlob(d digest.Digest) (*io.SectionReader, bool) {
	b, ok := h.store.blob(d)
	if !ok {
		return nil, false
	}
	return b.reader(), true
}

func describe(mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

// marshal is for this package's own documents, which always marshal.
func marshal(document any) []byte {
	raw, _ := json.Marshal(document)
	return raw
}

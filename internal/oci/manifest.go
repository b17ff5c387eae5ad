package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, which image-spec does not name.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	mediaTypeDockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// MaxManifestSize is the largest manifest that is accepted, in bytes (OCI
// Distribution 1.1, §Pushing manifests asks for at least 4 MiB).
const MaxManifestSize = 4 << 20

// maxReferences bounds how many descriptors one manifest may hold.
const maxReferences = 20_000

// Content is what a manifest refers to.
type Content struct {
	MediaType    string
	Config       *Descriptor
	Layers       []Descriptor // without non-distributable layers, which need not be present
	Manifests    []Platform   // an index's children
	Subject      *Descriptor
	ArtifactType string // what a referrers list calls this manifest
	Annotations  map[string]string
}

// Platform is a child of an index and the platform that it is for.
type Platform struct {
	Descriptor
	OS, Architecture, Variant, OSVersion string
}

// Key is equal for children of two indexes that are for the same platform.
func (p Platform) Key() string {
	return strings.Join([]string{p.OS, p.Architecture, p.Variant, p.OSVersion}, "/")
}

// Blobs lists the digests of the config and the layers that must be present.
func (c Content) Blobs() []digest.Digest {
	var all []digest.Digest
	if c.Config != nil {
		all = append(all, c.Config.Digest)
	}
	for _, l := range c.Layers {
		all = append(all, l.Digest)
	}
	return all
}

// Index tells whether the manifest is a list of other manifests.
func (c Content) Index() bool { return IsIndex(c.MediaType) }

// IsIndex tells whether a media type is that of a list of other manifests.
func IsIndex(mediaType string) bool {
	return mediaType == v1.MediaTypeImageIndex || mediaType == MediaTypeDockerManifestList
}

type manifestDocument struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Layers        descriptors       `json:"layers"`
	Blobs         descriptors       `json:"blobs"`
	Manifests     descriptors       `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// descriptors is a list that is not read beyond maxReferences: an entry of two bytes
// takes a hundred times as many in memory.
type descriptors []v1.Descriptor

// UnmarshalJSON implements json.Unmarshaler. The error is an *Error with
// MANIFEST_INVALID when there are too many.
func (d *descriptors) UnmarshalJSON(text []byte) error {
	list := json.NewDecoder(bytes.NewReader(text))
	switch first, err := list.Token(); {
	case err != nil:
		return err
	case first == nil:
		*d = nil
		return nil
	case first != json.Delim('['):
		return fmt.Errorf("%v where a list of descriptors belongs", first)
	}
	all := descriptors{} // not nil: an empty list tells an index, too
	for list.More() {
		if len(all) == maxReferences {
			return tooManyReferences()
		}
		var one v1.Descriptor
		if err := list.Decode(&one); err != nil {
			return err
		}
		all = append(all, one)
	}
	*d = all
	return nil
}

func tooManyReferences() error {
	return invalid(fmt.Sprintf("the manifest refers to too many items: the limit is %d", maxReferences), nil)
}

// ParseManifest reads a manifest that came with the given Content-Type, which may
// be empty. The error is an *Error with MANIFEST_INVALID. Media types that Larder
// does not know are kept as they are and refer to nothing, except by subject.
func ParseManifest(contentType string, content []byte) (Content, error) {
	var doc manifestDocument
	if err := json.Unmarshal(content, &doc); CodeOf(err) != "" {
		return Content{}, err
	} else if err != nil {
		return Content{}, invalid("the manifest is not valid JSON", err)
	}
	mediaType, err := manifestMediaType(contentType, doc)
	if err != nil {
		return Content{}, err
	}
	if len(doc.Layers)+len(doc.Manifests)+len(doc.Blobs) > maxReferences {
		return Content{}, tooManyReferences()
	}
	c := Content{MediaType: mediaType, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
	if c.Subject, err = optional("subject", doc.Subject); err != nil {
		return Content{}, err
	}
	switch mediaType {
	case v1.MediaTypeImageManifest, MediaTypeDockerManifest:
		err = c.readImage(doc)
	case v1.MediaTypeImageIndex, MediaTypeDockerManifestList:
		err = c.readIndex(doc)
	}
	return c, err
}

func manifestMediaType(contentType string, doc manifestDocument) (string, error) {
	mediaType := doc.MediaType
	if contentType != "" {
		given, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return "", invalid(fmt.Sprintf("Content-Type %q cannot be read", clip(contentType)), err)
		}
		if mediaType != "" && given != mediaType {
			return "", invalid(fmt.Sprintf("Content-Type is %s, but the manifest says that it is %s", clip(given), clip(mediaType)), nil)
		}
		mediaType = given
	}
	switch {
	case IsSchema1(mediaType) || (doc.SchemaVersion == 1 && mediaType == ""):
		return "", invalid("Docker schema 1 images are not accepted: convert the image, for example with skopeo copy --format v2s2 SOURCE DESTINATION", ErrSchema1)
	case mediaType == "" && doc.Manifests != nil:
		return v1.MediaTypeImageIndex, nil
	case mediaType == "" && doc.Config != nil:
		return v1.MediaTypeImageManifest, nil
	case mediaType == "":
		return "", invalid("the manifest has no media type: send a Content-Type", nil)
	}
	return mediaType, nil
}

func (c *Content) readImage(doc manifestDocument) (err error) {
	if doc.Config == nil {
		return invalid("the image manifest has no config", nil)
	}
	if c.Config, err = optional("config", doc.Config); err != nil {
		return err
	}
	if c.ArtifactType == "" {
		c.ArtifactType = doc.Config.MediaType
	}
	for i, l := range doc.Layers {
		d, err := descriptor(fmt.Sprintf("layers[%d]", i), l)
		if err != nil {
			return err
		}
		if !nonDistributable(l.MediaType) {
			c.Layers = append(c.Layers, d)
		}
	}
	return nil
}

func (c *Content) readIndex(doc manifestDocument) error {
	for i, m := range doc.Manifests {
		d, err := descriptor(fmt.Sprintf("manifests[%d]", i), m)
		if err != nil {
			return err
		}
		p := Platform{Descriptor: d}
		if m.Platform != nil {
			p.OS, p.Architecture, p.Variant, p.OSVersion = m.Platform.OS, m.Platform.Architecture, m.Platform.Variant, m.Platform.OSVersion
		}
		c.Manifests = append(c.Manifests, p)
	}
	return nil
}

// nonDistributable layers may stay where their urls point to (OCI Image 1.0,
// §Non-distributable layers), so a push without them is whole.
func nonDistributable(mediaType string) bool {
	return mediaType == mediaTypeDockerForeignLayer ||
		strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.")
}

func optional(field string, d *v1.Descriptor) (*Descriptor, error) {
	if d == nil {
		return nil, nil
	}
	got, err := descriptor(field, *d)
	return &got, err
}

func descriptor(field string, d v1.Descriptor) (Descriptor, error) {
	parsed, err := ParseDigest(string(d.Digest))
	if err != nil {
		return Descriptor{}, invalid(fmt.Sprintf("%s has the digest %q, which is not valid", field, clip(string(d.Digest))), err)
	}
	if d.Size < 0 {
		return Descriptor{}, invalid(fmt.Sprintf("%s has the size %d", field, d.Size), nil)
	}
	return Descriptor{MediaType: d.MediaType, Digest: parsed, Size: d.Size}, nil
}

func invalid(message string, cause error) error {
	return &Error{Code: CodeManifestInvalid, Message: message, Err: cause}
}

package chaos_test

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// content is a blob whose bytes follow from a number: they are made where they are
// sent, and told by their digest where they come back.
type content struct {
	number uint64
	size   int64
	digest digest.Digest
}

func newContent(number uint64, size int64) content {
	c := content{number: number, size: size}
	digester := digest.SHA256.Digester()
	_, _ = io.Copy(digester.Hash(), c.reader(0)) // neither end of it fails
	c.digest = digester.Digest()
	return c
}

// reader gives the bytes from an offset on.
func (c content) reader(offset int64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], c.number)
	bytes := io.LimitReader(rand.NewChaCha8(key), c.size)
	_, _ = io.CopyN(io.Discard, bytes, offset) // it does not fail
	return bytes
}

func (c content) descriptor(mediaType string) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: c.digest, Size: c.size}
}

// drawContent makes a blob of a size as they come: most are small, some take a while.
func drawContent(rng *rand.Rand) content {
	size := 1 + rng.Int64N(2_000)
	switch kind := rng.IntN(20); {
	case kind == 0:
		size = 0
	case kind < 10:
		size = 10_000 + rng.Int64N(200_000)
	case kind < 14:
		size = 300_000 + rng.Int64N(2_700_000)
	}
	return newContent(rng.Uint64(), size)
}

// image is a manifest and what it refers to.
type image struct {
	raw       []byte
	mediaType string
	digest    digest.Digest
	refers    []digest.Digest // blobs, or the manifests of an index
}

func newImage(config content, layers ...content) image {
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: config.descriptor(v1.MediaTypeImageConfig), Layers: []v1.Descriptor{},
	}
	made := image{mediaType: m.MediaType, refers: []digest.Digest{config.digest}}
	for _, l := range layers {
		m.Layers = append(m.Layers, l.descriptor(v1.MediaTypeImageLayer))
		made.refers = append(made.refers, l.digest)
	}
	return made.write(m)
}

func newIndex(children ...*manifest) image {
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
	made := image{mediaType: index.MediaType}
	for _, child := range children {
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: child.mediaType, Digest: child.digest, Size: int64(len(child.raw))})
		made.refers = append(made.refers, child.digest)
	}
	return made.write(index)
}

func (i image) write(document any) image {
	raw, err := json.Marshal(document)
	if err != nil {
		panic(err) // these types always can be written
	}
	i.raw, i.digest = raw, digest.FromBytes(raw)
	return i
}

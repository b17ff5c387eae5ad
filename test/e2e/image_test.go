package e2e_test

import (
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

// layerSize makes layers that clients can unpack, and that need no time.
const layerSize = 4000

// hubImage is an image for the Hub.
func hubImage(seed uint64) hubsim.Image {
	return hubsim.Image{Seed: seed, LayerSizes: []int64{layerSize, layerSize}}
}

// multiPlatform is an image for the Hub with an index: for this machine, and for one
// of another kind.
func multiPlatform(format hubsim.Format) hubsim.Image {
	return hubsim.Image{LayerSizes: []int64{layerSize}, Format: format, Platforms: []ocispec.Platform{
		{OS: "linux", Architecture: runtime.GOARCH}, {OS: "linux", Architecture: "s390x"},
	}}
}

// newImage makes an OCI image of random bytes, as a build would.
func newImage(t *testing.T) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"},
	})
	for range 2 {
		if err != nil {
			t.Fatal(err)
		}
		var layer v1.Layer
		if layer, err = random.Layer(layerSize, types.OCILayer); err == nil {
			image, err = mutate.AppendLayers(image, layer)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// newImageFolder is newImage in a folder in the form of the OCI image layout.
func newImageFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(newImage(t)); err != nil {
		t.Fatal(err)
	}
	return folder
}

// reference parses an image name at a registry without TLS.
func reference(t *testing.T, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

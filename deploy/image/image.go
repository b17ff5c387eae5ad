package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// account is that of nobody in particular, by number, so that a cluster can see that it
	// is not root's (runAsNonRoot).
	account = 65532
	// dataFolder is where images and metadata are kept unless the configuration says
	// otherwise.
	dataFolder = "var/lib/larder"
)

// index is the image for all platforms, each around the program that built gives.
func (o options) index(built func(v1.Platform) (string, error)) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range o.platforms {
		program, err := built(platform)
		if err != nil {
			return nil, err
		}
		image, err := o.image(platform, program)
		if err != nil {
			return nil, fmt.Errorf("making the image for %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	annotated, ok := mutate.Annotations(index, o.labels()).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("an index with annotations is none any more")
	}
	return annotated, nil
}

func (o options) image(platform v1.Platform, program string) (v1.Image, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	files, err := o.files(content)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.ConfigFile(image, o.configuration(platform)); err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "make image"},
	})
}

func (o options) configuration(platform v1.Platform) *v1.ConfigFile {
	user := fmt.Sprintf("%d:%d", account, account)
	return &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: v1.Time{Time: o.created},
		RootFS:  v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: user, Entrypoint: []string{"/larder"}, Cmd: []string{"serve"},
			Env:          []string{"LARDER_DATA=/" + dataFolder, "HOME=/" + dataFolder, "TMPDIR=/" + dataFolder},
			WorkingDir:   "/" + dataFolder,
			Volumes:      map[string]struct{}{"/" + dataFolder: {}},
			ExposedPorts: map[string]struct{}{"5000/tcp": {}},
			Labels:       o.labels(),
		},
	}
}

// labels are annotations of the OCI image specification.
func (o options) labels() map[string]string {
	return map[string]string{
		ocispec.AnnotationTitle:       "larder",
		ocispec.AnnotationDescription: "An OCI image registry and Docker Hub pull-through cache",
		ocispec.AnnotationLicenses:    "Apache-2.0",
		ocispec.AnnotationSource:      "https://github.com/larder-registry/larder",
		ocispec.AnnotationVersion:     o.version,
		ocispec.AnnotationRevision:    o.commit,
		ocispec.AnnotationCreated:     o.created.Format(time.RFC3339),
	}
}

// files is all that the image holds: the program brings its own certificate authorities.
func (o options) files(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range []tar.Header{
		{Name: "larder", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg},
		{Name: "var/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: "var/lib/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: dataFolder + "/", Mode: 0o700, Typeflag: tar.TypeDir, Uid: account, Gid: account},
	} {
		header.ModTime = o.created
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if header.Size > 0 {
			if _, err := w.Write(program); err != nil {
				return nil, err
			}
		}
	}
	return out.Bytes(), w.Close()
}

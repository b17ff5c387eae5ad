//go:build kubelet

package e2e_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// runnable is an image whose container runs until it is told to end. Images of different
// names differ.
func runnable(t *testing.T, name string) v1.Image {
	t.Helper()
	waits := filepath.Join(newHome(t), "waits")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", waits, "./testdata/waits")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the program of an image: %v\n%s", err, output)
	}
	return imageOf(t, waits, name)
}

// imageOf is an image that holds one program and runs it.
func imageOf(t *testing.T, program, name string) v1.Image {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{"/program"}, Labels: map[string]string{"name": name}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// addToHub puts an image on the Hub.
func (s *stack) addToHub(repository, tag string, image v1.Image) {
	s.t.Helper()
	config, err := image.RawConfigFile()
	if err != nil {
		s.t.Fatal(err)
	}
	s.hub.AddBlob(repository, config)
	layers, err := image.Layers()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, layer := range layers {
		reader, err := layer.Compressed()
		if err != nil {
			s.t.Fatal(err)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			s.t.Fatal(err)
		}
		s.hub.AddBlob(repository, text)
	}
	manifest, err := image.RawManifest()
	if err != nil {
		s.t.Fatal(err)
	}
	s.hub.AddManifest(repository, tag, string(types.OCIManifestSchema1), manifest)
}

// imageFolder is an image with tag 1 in the form of the OCI image layout.
func imageFolder(t *testing.T, image v1.Image) string {
	t.Helper()
	folder := newHome(t)
	path, err := layout.Write(folder, empty.Index)
	if err == nil {
		err = path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "1"}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

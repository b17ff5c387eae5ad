package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/kube"
)

const (
	// maxImages bounds the images of one command line, and maxImageFile the bytes of a file
	// that lists them.
	maxImages    = 10_000
	maxImageFile = 16 << 20
)

// imageSources are where the images of a command line are named.
type imageSources struct {
	lists, manifests []string
	cluster          bool
	kubeconfig       kube.Kubeconfig
}

func (s *imageSources) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&s.lists, "filename", "f", nil, "the images that a `FILE` lists, one on each line; - is the standard input")
	cmd.Flags().StringArrayVar(&s.manifests, "from-manifest", nil, "the images of the pods in a `FILE` of Kubernetes manifests; - is the standard input")
	cmd.Flags().BoolVar(&s.cluster, "from-cluster", false, "the images of the pods of the current kubeconfig's cluster, in all namespaces")
	addClusterFlags(cmd, &s.kubeconfig)
}

func (s *imageSources) any() bool { return len(s.lists)+len(s.manifests) > 0 || s.cluster }

// running are the images of the cluster's pods.
func (s *imageSources) running(ctx context.Context) (names []string, err error) {
	cluster, err := openCluster(s.kubeconfig)
	if err != nil {
		return nil, err
	}
	images, err := cluster.RunningImages(ctx, maxImages)
	if err == nil && len(images) == 0 {
		err = fmt.Errorf("no pod runs in %s (%s): name another cluster with --kubeconfig or --context", cluster.Server, cluster.From)
	}
	for _, image := range images {
		names = append(names, asPods(image.Name))
	}
	return names, err
}

// asPods is an image by the name that means the same for pods and for the server. Pods take
// acme/app for Docker Hub's, and the server for the project acme's, where there is one.
func asPods(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil || !strings.Contains(image, "/") || strings.HasPrefix(image, reference.Domain(named)+"/") {
		return image
	}
	return reference.Domain(named) + "/" + image
}

// images are all that are named, each once, in the order in which they are.
func (s *imageSources) images(cmd *cobra.Command, args []string) ([]string, error) {
	if len(args) == 0 && !s.any() {
		return nil, usagef("say which images: name them, or give a list with -f, manifests with --from-manifest, or a cluster with --from-cluster")
	}
	all := args
	for _, source := range []struct {
		files []string
		read  func(io.Reader) ([]string, error)
	}{{s.lists, readImageList}, {s.manifests, readManifests}} {
		for _, name := range source.files {
			found, err := readImages(cmd, name, source.read)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	}
	if s.cluster {
		found, err := s.running(cmd.Context())
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	c, _, err := currentClient()
	if err != nil {
		return nil, err
	}
	registry, err := currentRegistry(cmd.Context())
	if err != nil {
		return nil, err
	}
	_, host, _ := strings.Cut(c.server, "://") // which may be another name than the one that nodes know
	seen, once := map[string]bool{}, []string{}
	for _, image := range all {
		image = strings.TrimPrefix(strings.TrimPrefix(image, host+"/"), registry.Host+"/") // as it stands where nodes pull from this registry
		if !seen[image] {
			seen[image] = true
			once = append(once, image)
		}
	}
	if len(once) == 0 || len(once) > maxImages {
		return nil, usagef("%d images are named: it takes from 1 to %d", len(once), maxImages)
	}
	return once, nil
}

func readImages(cmd *cobra.Command, name string, read func(io.Reader) ([]string, error)) ([]string, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading which images: %w", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	found, err := read(io.LimitReader(in, maxImageFile))
	if err != nil {
		return nil, fmt.Errorf("reading which images, in %s: %w", name, err)
	}
	return found, nil
}

// readImageList reads one image from each line.
func readImageList(in io.Reader) (images []string, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			images = append(images, line)
		}
	}
	return images, lines.Err()
}

// readManifests finds the images of all containers, in whatever kind of object.
func readManifests(in io.Reader) (images []string, err error) {
	for documents := yaml.NewDecoder(in); ; {
		var document any
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return images, nil
		}
		if err != nil {
			return nil, err
		}
		for _, image := range containerImages(document, false) {
			images = append(images, asPods(image))
		}
	}
}

// containerImages finds images in what is a container, or what holds some.
func containerImages(value any, container bool) (images []string) {
	switch v := value.(type) {
	case []any:
		for _, one := range v {
			images = append(images, containerImages(one, container)...)
		}
	case map[string]any:
		if image, ok := v["image"].(string); ok && container && image != "" {
			images = append(images, image)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			holds := key == "containers" || key == "initContainers" || key == "ephemeralContainers"
			images = append(images, containerImages(v[key], holds)...)
		}
	}
	return images
}

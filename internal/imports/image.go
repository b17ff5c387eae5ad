package imports

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/larder-registry/larder/internal/oci"
)

// Image is what a source names.
type Image struct {
	Host       string // with its port, if it has one; docker.io for Docker Hub
	Repository string
	Reference  string // tag or digest
}

// ParseImage reads an image as clients write it: [HOST/]NAME[:TAG|@DIGEST], with Docker
// Hub as the host and latest as the tag that may be left out.
func ParseImage(text string) (Image, error) {
	ref, err := name.ParseReference(text)
	if err == nil {
		err = oci.CheckName(ref.Context().RepositoryStr())
	}
	if err != nil {
		return Image{}, fmt.Errorf("%.200q is no image: write it like docker.io/library/centos:7", text)
	}
	host := ref.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	return Image{Host: host, Repository: ref.Context().RepositoryStr(), Reference: ref.Identifier()}, nil
}

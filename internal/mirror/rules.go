package mirror

import (
	"strings"

	"github.com/distribution/reference"
)

// maxName bounds the name of a repository, in bytes (OCI Distribution 1.1, §Pulling
// manifests).
const maxName = 255

// Rules say which images are pulled through Larder, and under which names.
type Rules struct {
	// Host is where clients reach Larder, HOST or HOST:PORT.
	Host string
	// Caches are the cache projects by the hosts of the registries that they mirror, as
	// image names have them: docker.io, and what else Docker Hub is called.
	Caches map[string]string
}

// DockerHub are the rules for Docker Hub alone.
func DockerHub(host string) Rules {
	const project = "docker-hub"
	return Rules{Host: host, Caches: map[string]string{
		"docker.io": project, "index.docker.io": project, "registry-1.docker.io": project,
	}}
}

// Rewrite returns the name under which Larder serves an image, with its tag and its digest;
// one that has neither gets the tag latest, which it means. It is false for an image of
// another registry, for one that Larder serves already, and for what is no image at all:
// these stay byte for byte.
func (r Rules) Rewrite(image string) (string, bool) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image, false
	}
	project, cached := r.Caches[reference.Domain(named)]
	if !cached || reference.Domain(named) == r.Host {
		return image, false
	}
	name := project + "/" + reference.Path(named)
	if len(name) > maxName {
		return image, false
	}
	return r.Host + "/" + name + suffix(named), true
}

// suffix is the tag and the digest, as they are written.
func suffix(named reference.Named) string {
	return strings.TrimPrefix(reference.TagNameOnly(named).String(), named.Name())
}

// Repository is the name of the repository, without host, tag and digest, in which Larder
// keeps what image names. It is false where Rewrite is.
func (r Rules) Repository(image string) (string, bool) {
	cached, ok := r.Rewrite(image)
	if !ok {
		return "", false
	}
	name := strings.TrimPrefix(cached, r.Host+"/")
	if end := strings.IndexAny(name, ":@"); end >= 0 {
		name = name[:end]
	}
	return name, true
}

package mirror

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// dockerHub is what image names without a registry mean.
const dockerHub = "docker.io"

// Nodes are those on which images are pulled, and what they have to know.
type Nodes struct {
	Rules
	// Plain is true when Larder is reached without TLS.
	Plain bool
	// Listener is the URL of the mirror listener, without a path, for clients that can ask
	// a mirror of Docker Hub by its own names alone; empty where there is none.
	Listener string
	// CA is what Larder's certificate comes from, in PEM form; empty where the nodes trust
	// it anyway.
	CA string
}

// File is one that a node, a build or a cluster needs.
type File struct {
	// Path is where it belongs.
	Path string
	// Text is what is in it.
	Text string
}

// Clients are those that Files knows, in the order of the alphabet.
func Clients() []string { return slices.Sorted(maps.Keys(clients())) }

func clients() map[string]func(Nodes) ([]File, error) {
	return map[string]func(Nodes) ([]File, error){
		"containerd": Nodes.containerd, "k3s": Nodes.k3s,
		"crio": Nodes.containers, "podman": Nodes.containers, "buildah": Nodes.containers,
		"openshift": Nodes.openshift,
		"docker":    Nodes.docker, "dind": Nodes.dind,
		"buildkit": Nodes.buildkit, "kaniko": Nodes.kaniko,
	}
}

// Files are what makes a client pull images through Larder, and from the registry itself
// where Larder does not answer, as far as the client can do that.
func (n Nodes) Files(client string) ([]File, error) {
	files, known := clients()[client]
	if !known {
		return nil, fmt.Errorf("%q is not known: it is one of %s", client, strings.Join(Clients(), ", "))
	}
	return files(n)
}

// url is Larder's, without a path.
func (n Nodes) url() string {
	if n.Plain {
		return "http://" + n.Host
	}
	return "https://" + n.Host
}

// mirrored are the registries as clients call them. Docker Hub's further names are ones that
// clients read as docker.io.
func (n Nodes) mirrored() []cacheOf {
	_, hub := n.Caches[dockerHub]
	return slices.DeleteFunc(n.caches(), func(c cacheOf) bool {
		return hub && c.Registry != dockerHub && c.Project == n.Caches[dockerHub]
	})
}

// origin is where a registry itself answers.
func (c cacheOf) origin() string {
	if c.Registry == dockerHub {
		return "https://registry-1.docker.io"
	}
	return "https://" + c.Registry
}

// withCA adds the file that a client trusts an address by.
func (n Nodes) withCA(files []File, path string) []File {
	if n.CA == "" || n.Plain {
		return files
	}
	return append(files, File{Path: path, Text: n.CA})
}

// listener is the host of the mirror listener. The error says what a client needs it for.
func (n Nodes) listener(client string) (host string, plain bool, err error) {
	u, err := url.Parse(n.Listener)
	if n.Listener == "" || err != nil || u.Host == "" {
		return "", false, fmt.Errorf("%s asks a mirror by Docker Hub's own names, which only the mirror listener knows: start Larder with --mirror-listen, and say where it is reached with --mirror-url", client)
	}
	return u.Host, u.Scheme == "http", nil
}

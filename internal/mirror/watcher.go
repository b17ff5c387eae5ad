package mirror

// Pods are those of Larder's own program that help a cluster.
type Pods struct {
	// Namespace is theirs.
	Namespace string
	// Image is the program's.
	Image string
	// URL is where they reach Larder.
	URL string
	// CA is what its certificate comes from, in PEM form; empty where it is trusted anyway.
	CA string
}

// Watcher is what turns the policy off while Larder is not ready, in YAML: a Deployment of
// one pod, which may read and write the switch and nothing else.
func Watcher(p Pods) (string, error) { return p.form("watcher", nil) }

// NodeMirrors is what keeps containerd's files on the nodes, in YAML: a DaemonSet, whose pods
// may write to the folder of these files and nothing else. They know Larder by the URL, and
// the rules' registries.
func NodeMirrors(p Pods, r Rules) (string, error) {
	return p.form("nodes", Nodes{Rules: r}.mirrored())
}

func (p Pods) form(name string, registries []cacheOf) (string, error) {
	values := map[string]any{
		"Namespace": p.Namespace, "Image": p.Image, "URL": p.URL, "CA": "", "Switch": SwitchName, "Labels": labels, "Registries": registries,
	}
	if p.CA != "" {
		values["CA"] = indented(p.CA)
	}
	return form(name, values)
}

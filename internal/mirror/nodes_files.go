package mirror

import (
	"encoding/json"
	"fmt"
	"strings"
)

// containerd asks for an image by its own name and says with ns which registry it means.
func (n Nodes) containerd() ([]File, error) {
	const folder = "/etc/containerd/certs.d/"
	var files []File
	for _, c := range n.mirrored() {
		ca := folder + c.Registry + "/larder-ca.crt"
		text := &strings.Builder{}
		fmt.Fprintf(text, "# Kubernetes reads this if config_path in /etc/containerd/config.toml is %q.\n", strings.TrimSuffix(folder, "/"))
		fmt.Fprintf(text, "# Where Larder does not answer, containerd goes to the server itself.\n")
		fmt.Fprintf(text, "server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", c.origin(), n.url())
		if n.CA != "" && !n.Plain {
			fmt.Fprintf(text, "  ca = %q\n", ca)
		}
		files = n.withCA(append(files, File{Path: folder + c.Registry + "/hosts.toml", Text: text.String()}), ca)
	}
	// Images that are called by Larder's own name, hosted and rewritten ones, have it trusted
	// by any certificate in its folder.
	return n.withCA(files, folder+n.Host+"/larder-ca.crt"), nil
}

// k3s writes containerd's files from its own.
func (n Nodes) k3s() ([]File, error) {
	const ca = "/etc/rancher/k3s/larder-ca.crt"
	text := &strings.Builder{}
	text.WriteString("# Read when k3s starts. Where Larder does not answer, it goes to the registry itself.\nmirrors:\n")
	for _, c := range n.mirrored() {
		fmt.Fprintf(text, "  %q:\n    endpoint: [%q]\n", c.Registry, n.url())
	}
	if n.CA != "" && !n.Plain {
		fmt.Fprintf(text, "configs:\n  %q:\n    tls: {ca_file: %q}\n", n.Host, ca)
	}
	return n.withCA([]File{{Path: "/etc/rancher/k3s/registries.yaml", Text: text.String()}}, ca), nil
}

// containers is for all that read containers-registries.conf(5).
func (n Nodes) containers() ([]File, error) {
	text := &strings.Builder{}
	text.WriteString("# Where Larder does not answer, images come from the location itself.\n")
	for _, c := range n.mirrored() {
		fmt.Fprintf(text, "\n[[registry]]\nprefix = %[1]q\nlocation = %[1]q\n\n[[registry.mirror]]\nlocation = %[2]q\n", c.Registry, n.Host+"/"+c.Project)
		if n.Plain {
			text.WriteString("insecure = true\n")
		}
	}
	return n.withCA([]File{{Path: "/etc/containers/registries.conf.d/larder.conf", Text: text.String()}}, "/etc/containers/certs.d/"+n.Host+"/ca.crt"), nil
}

// openshift has its nodes' files written by the cluster.
func (n Nodes) openshift() ([]File, error) {
	text := &strings.Builder{}
	for _, kind := range []struct{ kind, list string }{{"ImageTagMirrorSet", "imageTagMirrors"}, {"ImageDigestMirrorSet", "imageDigestMirrors"}} {
		fmt.Fprintf(text, "---\napiVersion: config.openshift.io/v1\nkind: %s\nmetadata: {name: larder}\nspec:\n  %s:\n", kind.kind, kind.list)
		for _, c := range n.mirrored() {
			fmt.Fprintf(text, "  - source: %s\n    mirrors: [%q]\n    mirrorSourcePolicy: AllowContactingSource\n", c.Registry, n.Host+"/"+c.Project)
		}
	}
	if n.CA != "" && !n.Plain {
		// A key of a ConfigMap holds no colon.
		fmt.Fprintf(text, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: larder-ca, namespace: openshift-config}\ndata:\n  %q: |\n%s", strings.Replace(n.Host, ":", "..", 1), indented(n.CA))
		text.WriteString("---\n# If the cluster trusts other authorities already, add the one above to their ConfigMap instead.\napiVersion: config.openshift.io/v1\nkind: Image\nmetadata: {name: cluster}\nspec: {additionalTrustedCA: {name: larder-ca}}\n")
	}
	return []File{{Path: "larder-mirrors.yaml", Text: text.String()}}, nil
}

func indented(text string) string {
	lines := strings.SplitAfter(strings.TrimRight(text, "\n")+"\n", "\n")
	return "    " + strings.TrimSuffix(strings.Join(lines, "    "), "    ")
}

// docker asks mirrors for Docker Hub's images alone.
func (n Nodes) docker() ([]File, error) {
	host, plain, err := n.listener("Docker")
	if err != nil {
		return nil, err
	}
	settings := map[string][]string{"registry-mirrors": {n.Listener}}
	if plain {
		settings["insecure-registries"] = []string{host}
	}
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing Docker's settings: %w", err)
	}
	return n.withCA([]File{{Path: "/etc/docker/daemon.json", Text: string(text) + "\n"}}, "/etc/docker/certs.d/"+host+"/ca.crt"), nil
}

// dind is Docker beside a job of GitLab.
func (n Nodes) dind() ([]File, error) {
	host, plain, err := n.listener("Docker")
	if err != nil {
		return nil, err
	}
	options := fmt.Sprintf("%q", "--registry-mirror="+n.Listener)
	if plain {
		options += fmt.Sprintf(", %q", "--insecure-registry="+host)
	}
	text := "services:\n- name: docker:dind\n  command: [" + options + "]\n"
	return n.withCA([]File{{Path: ".gitlab-ci.yml", Text: text}}, "/etc/docker/certs.d/"+host+"/ca.crt"), nil
}

// buildkit is docker buildx, too: --buildkitd-config names the file.
func (n Nodes) buildkit() ([]File, error) {
	const ca = "/etc/buildkit/larder-ca.crt"
	text := &strings.Builder{}
	for _, c := range n.mirrored() {
		fmt.Fprintf(text, "[registry.%q]\n  mirrors = [%q]\n", c.Registry, n.Host+"/"+c.Project)
	}
	switch {
	case n.Plain:
		fmt.Fprintf(text, "[registry.%q]\n  http = true\n", n.Host)
	case n.CA != "":
		fmt.Fprintf(text, "[registry.%q]\n  ca = [%q]\n", n.Host, ca)
	}
	return n.withCA([]File{{Path: "/etc/buildkit/buildkitd.toml", Text: text.String()}}, ca), nil
}

// kaniko is told by its arguments.
func (n Nodes) kaniko() ([]File, error) {
	host, plain, err := n.listener("kaniko")
	if err != nil {
		return nil, err
	}
	const ca = "/kaniko/ssl/certs/larder-ca.crt"
	arguments := []string{"--registry-mirror=" + host}
	switch {
	case plain:
		arguments = append(arguments, "--insecure-registry="+host, "--insecure-pull")
	case n.CA != "":
		arguments = append(arguments, "--registry-certificate="+host+"="+ca)
	}
	return n.withCA([]File{{Path: "kaniko-arguments.txt", Text: strings.Join(arguments, "\n") + "\n"}}, ca), nil
}

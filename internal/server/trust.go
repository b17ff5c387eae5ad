package server

import (
	"fmt"
	"regexp"
	"strings"
)

// TrustLines are the commands by which clients come to trust a certificate
// authority for a server: one comment and one command each. host is HOST:PORT as
// in image names, caPath the authority's certificate on the client's disk.
func TrustLines(host, caPath string) []string {
	ca := quote(caPath)
	containerd := "/etc/containerd/certs.d/" + host
	// Twice: what the host does not give, containerd asks the server for, and tells of that alone.
	// Without a [host] containerd 1.6 refuses the file.
	hostsFile := []string{
		fmt.Sprintf("server = %q", "https://"+host),
		fmt.Sprintf("ca = %q", containerd+"/ca.crt"),
		fmt.Sprintf("[host.%q]", "https://"+host),
		fmt.Sprintf("  ca = %q", containerd+"/ca.crt"),
	}
	return []string{
		"# docker",
		dockerTrust(host, caPath),
		"# podman, skopeo, buildah",
		"sudo install -D -m 0644 " + ca + " " + quote("/etc/containers/certs.d/"+host+"/ca.crt"),
		"# containerd",
		"sudo install -D -m 0644 " + ca + " " + quote(containerd+"/ca.crt") + " && printf '%s\\n' " + quoteAll(hostsFile) + " | sudo tee " + quote(containerd+"/hosts.toml"),
		"# curl",
		"curl --cacert " + ca + " " + quote("https://"+host+"/v2/"),
		"# everything on a Debian or Ubuntu machine",
		"sudo install -m 0644 " + ca + " /usr/local/share/ca-certificates/larder.crt && sudo update-ca-certificates",
	}
}

// dockerTrust is the command for docker, which keeps an authority for each HOST:PORT.
func dockerTrust(host, caPath string) string {
	return "sudo install -D -m 0644 " + quote(caPath) + " " + quote("/etc/docker/certs.d/"+host+"/ca.crt")
}

var shellSafe = regexp.MustCompile(`^[a-zA-Z0-9_./:@%+=,-]+$`)

// quote makes one word of a POSIX shell's command line.
func quote(word string) string {
	if shellSafe.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func quoteAll(words []string) string {
	quoted := make([]string, 0, len(words))
	for _, w := range words {
		quoted = append(quoted, quote(w))
	}
	return strings.Join(quoted, " ")
}

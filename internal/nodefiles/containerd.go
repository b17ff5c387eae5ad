package nodefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Verdict tells whether containerd, as Kubernetes uses it, reads the files of its mirrors.
type Verdict string

// What can be told from containerd's configuration.
const (
	Reads   Verdict = "yes"
	Ignores Verdict = "no"
	Unclear Verdict = "unclear"
)

// configPath is how versions 2 and 3 of the configuration name the folder, or folders.
var configPath = regexp.MustCompile(`(?m)^\s*config_path\s*=\s*(?:"([^"\n]*)"|'([^'\n]*)')`)

// ReadByContainerd looks into containerd's configuration below root whether it reads the
// folder, and says what it has found and what to do next.
func ReadByContainerd(root, folder string) (verdict Verdict, why string) {
	names := []string{filepath.Join(root, "etc", "containerd", "config.toml")}
	more, err := filepath.Glob(filepath.Join(root, "etc", "containerd", "conf.d", "*.toml"))
	if err != nil {
		more = nil
	}
	const write = `write config_path = "%s" into it, below [plugins."io.containerd.grpc.v1.cri".registry], or in version 3 of the file below [plugins."io.containerd.cri.v1.images".registry], and restart containerd`
	found := ""
	for i, name := range append(names, more...) {
		text, err := readFile(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && i == 0:
			continue
		case err != nil:
			return Unclear, fmt.Sprintf("containerd's configuration cannot be read: %v; look on the node: grep config_path /etc/containerd/config.toml", err)
		}
		for _, set := range configPath.FindAllStringSubmatch(text, -1) {
			found = set[1] + set[2]
			if slices.Contains(strings.Split(found, ":"), folder) {
				return Reads, "config_path of /etc/containerd/" + strings.TrimPrefix(name, filepath.Join(root, "etc", "containerd")+"/") + " has it"
			}
		}
	}
	if found != "" {
		return Ignores, fmt.Sprintf("config_path of containerd's configuration is %q, and not %s: add it there, as in \"%[2]s:%[1]s\", and restart containerd", found, folder)
	}
	return Ignores, "containerd's configuration sets no config_path: " + fmt.Sprintf(write, folder)
}

// readFile reads a file that is not too long.
func readFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if info.Size() > maxFile {
		return "", fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

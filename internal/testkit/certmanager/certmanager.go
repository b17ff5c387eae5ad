// Package certmanager has the real cert-manager make certificates, for tests.
package certmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/larder-registry/larder/internal/testkit"
)

// published is the module that cert-manager is published as.
const published = "github.com/cert-manager/cert-manager"

// Program is the path of tools/certmanager, which takes a kubeconfig. The first time it is
// built, which takes minutes.
func Program() (string, error) { return testkit.ModuleProgram("certmanager") }

// CustomResources are the definitions of what its issuers and certificates are, in YAML, for
// kubectl apply. They are those of the version that Program is made of.
func CustomResources(ctx context.Context) (string, error) {
	module, err := testkit.Module("certmanager")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", published)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("looking for %s: %w\n%s", published, err, output)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(output, &found); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(found.Dir, "deploy", "crds", "cert-manager.io_*.yaml"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("%s has no definitions in deploy/crds: %w", found.Dir, err)
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all = append(all, string(text))
	}
	return strings.Join(all, "\n---\n"), nil
}

// Package gitops says what Argo CD would see, by the library that Argo CD compares with.
package gitops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"

	"github.com/larder-registry/larder/internal/testkit"
)

// Comparison is what tools/gitops reads.
type Comparison struct {
	// Desired is what a repository holds, Live what the cluster has.
	Desired, Live json.RawMessage
	// DryRun is what the cluster says that it would have once Desired is applied on its
	// side. Without it, what was last applied decides.
	DryRun json.RawMessage `json:",omitempty"`
	// Ignored are the jqPathExpressions of ignoreDifferences.
	Ignored []string
}

// Difference is none unless Modified.
type Difference struct {
	Modified        bool
	Live, Predicted json.RawMessage
}

// Compare compares as Argo CD does.
func Compare(ctx context.Context, c Comparison) (Difference, error) {
	path, err := Program()
	if err != nil {
		return Difference{}, err
	}
	input, err := json.Marshal(c)
	if err != nil {
		return Difference{}, err
	}
	var output, errors bytes.Buffer
	cmd := exec.CommandContext(ctx, path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &output, &errors
	if err := cmd.Run(); err != nil {
		return Difference{}, fmt.Errorf("%w: %s", err, &errors)
	}
	var d Difference
	return d, json.Unmarshal(output.Bytes(), &d)
}

// Program is the path of tools/gitops. The first time it is built, which takes minutes.
func Program() (string, error) { return testkit.ModuleProgram("gitops") }

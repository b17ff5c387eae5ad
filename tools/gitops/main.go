// Command gitops compares what a repository holds with what a cluster has, by the library
// that Argo CD does it by. It reads one Comparison from standard input and writes one
// Difference. It is a module of its own, since that library brings much of Kubernetes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/itchyny/gojq"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Comparison is what is compared.
type Comparison struct {
	// Desired is what the repository holds, Live what the cluster has.
	Desired, Live *unstructured.Unstructured
	// DryRun is what the cluster says that it would have once Desired is applied on its
	// side. Without it, what was last applied decides, as Argo CD does it by default.
	DryRun json.RawMessage
	// Ignored are the jqPathExpressions of ignoreDifferences.
	Ignored []string
}

// Difference is none unless Modified.
type Difference struct {
	Modified        bool
	Live, Predicted json.RawMessage
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var c Comparison
	if err := json.NewDecoder(in).Decode(&c); err != nil {
		return fmt.Errorf("reading what to compare: %w", err)
	}
	ignored, err := parse(c.Ignored)
	if err != nil {
		return err
	}
	options := []diff.Option{diff.WithNormalizer(ignored)}
	if len(c.DryRun) > 0 {
		// What webhooks change is not left out, which Argo CD does by itself.
		options = append(options, diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(answer(c.DryRun)), diff.WithIgnoreMutationWebhook(false))
	}
	result, err := diff.Diff(c.Desired, c.Live, options...)
	if err != nil {
		return fmt.Errorf("comparing: %w", err)
	}
	return json.NewEncoder(out).Encode(Difference{result.Modified, result.NormalizedLive, result.PredictedLive})
}

// answer is one that the cluster has given already.
type answer json.RawMessage

func (a answer) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	return string(a), nil
}

// deletions leave out what is to be ignored, in the way in which Argo CD does.
type deletions []*gojq.Query

func parse(expressions []string) (deletions, error) {
	var all deletions
	for _, expression := range expressions {
		query, err := gojq.Parse("del(" + expression + ")")
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", expression, err)
		}
		all = append(all, query)
	}
	return all, nil
}

// Normalize deletes from what is compared.
func (d deletions) Normalize(object *unstructured.Unstructured) error {
	for _, query := range d {
		left, ok := query.Run(object.Object).Next()
		if !ok {
			return fmt.Errorf("%s leaves nothing", query)
		}
		switch left := left.(type) {
		case error:
			return fmt.Errorf("%s: %w", query, left)
		case map[string]any:
			object.Object = left
		default:
			return fmt.Errorf("%s leaves a %T", query, left)
		}
	}
	return nil
}

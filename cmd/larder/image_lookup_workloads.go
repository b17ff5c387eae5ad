package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/admission"
	"github.com/larder-registry/larder/internal/imagetrigger"
)

// namedWorkload is one as it is typed.
type namedWorkload struct {
	kind imagetrigger.Kind
	name string
}

// workloadLookup tells whether all short names in the pods of a workload are looked up.
type workloadLookup struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Local     bool   `json:"local"`
}

// lookupWorkloads are the workloads that are named; none where image streams are.
func lookupWorkloads(args []string) (all []namedWorkload, err error) {
	for _, text := range args {
		if kind, name, known := parseWorkload(text); known {
			all = append(all, namedWorkload{kind, name})
		}
	}
	if len(all) > 0 && len(all) < len(args) {
		return nil, usagef("name either image streams or workloads: those are in the registry, and these in a cluster")
	}
	return all, nil
}

// ofWorkloads sets the lookup of workloads of a cluster, or lists it.
func (o lookupOptions) ofWorkloads(cmd *cobra.Command, named []namedWorkload, output outputFormat) error {
	cluster, err := openCluster(o.cluster)
	if err != nil {
		return err
	}
	t := table{header: []string{"NAME", "LOCAL"}, wide: []string{"NAMESPACE"}}
	var found []workloadLookup
	for _, n := range named {
		w, err := readWorkload(cmd, cluster, n.kind, n.name)
		if err != nil {
			return err
		}
		local := w.PodAnnotations[admission.ResolveNames] == admission.AllNames
		found = append(found, workloadLookup{w.Kind.Name, w.Namespace, w.Name, local})
		t.rows = append(t.rows, []string{w.Kind.Resource + "/" + w.Name, strconv.FormatBool(local), w.Namespace})
		if o.list {
			continue
		}
		value, state := any(nil), "disabled"
		if o.enabled {
			value, state = admission.AllNames, "enabled"
		}
		if err := cluster.Merge(cmd.Context(), w.Path(), w.Annotate(admission.ResolveNames, value), nil); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s image lookup %s\n", w, state); err != nil {
			return err
		}
	}
	if !o.list {
		return nil
	}
	return newListing(cmd, output, "workload").print(map[string]any{"items": found}, t)
}

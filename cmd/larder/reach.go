package main

import (
	"github.com/spf13/cobra"
)

// reach is which projects a list is of: the one to work in, or all that can be seen.
type reach struct{ all bool }

func (r *reach) addFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&r.all, "all-namespaces", "A", false, "those of all projects that you may see, with the project in front of each name")
}

// projects are those that are listed.
func (r reach) projects(cmd *cobra.Command, c *client) ([]string, error) {
	if !r.all {
		project, err := namespace(cmd)
		return []string{project}, err
	}
	all, err := listProjects(cmd.Context(), c)
	names := make([]string, 0, len(all))
	for _, p := range all {
		names = append(names, p.Name)
	}
	return names, err
}

// excludes refuses what is named where all was asked for.
func (r reach) excludes(args []string) error {
	if r.all && len(args) > 0 {
		return usagef("--all-namespaces lists all: leave it out, or %q", args[0])
	}
	return nil
}

// name is a name as it is listed.
func (r reach) name(project, name string) string {
	if r.all {
		return project + "/" + name
	}
	return name
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// newProjectsCommand lists projects for people; `get projects` lists them for
// programs too.
func newProjectsCommand() *cobra.Command {
	var short bool
	cmd := &cobra.Command{
		Use:   "projects",
		Short: "List the projects that you may see; a star marks the selected one",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			all, err := listProjects(cmd.Context(), c)
			if err != nil {
				return err
			}
			for _, p := range all {
				line := "    " + p.Name
				switch {
				case short:
					line = p.Name
				case p.Name == login.Namespace:
					line = "  * " + p.Name
				}
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&short, "short", "q", false, "print the names only")
	return cmd
}

func newGetProjectsCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "projects [NAME]",
		Aliases: []string{"project", "namespaces", "namespace", "ns"},
		Short:   "List the projects that you may see, or show one",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, "project")
			if len(args) == 0 {
				all, err := listProjects(cmd.Context(), c)
				if err != nil {
					return err
				}
				return out.print(api.ProjectList{Items: all}, projectRows(all, time.Now()).orSay("No projects found."))
			}
			var one api.Project
			if err := c.call(cmd.Context(), http.MethodGet, projectPath(args[0]), nil, &one); err != nil {
				return err
			}
			return out.print(one, projectRows([]api.Project{one}, time.Now()))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// quotaText is a quota for people.
func quotaText(bytes int64) string {
	if bytes == 0 {
		return "none"
	}
	return bytesText(bytes)
}

func projectRows(all []api.Project, now time.Time) table {
	t := table{header: []string{"NAME", "KIND", "VISIBILITY", "AGE", "DESCRIPTION"}, wide: []string{"QUOTA", "CREATOR"}}
	for _, p := range all {
		t.rows = append(t.rows, []string{p.Name, p.Kind, p.Visibility, age(now.Sub(p.CreatedAt)), p.Description, quotaText(p.Quota), p.Creator})
	}
	return t
}

func listProjects(ctx context.Context, c *client) ([]api.Project, error) {
	return listAll(ctx, c, "/api/v1/projects", nil, func(p api.ProjectList) ([]api.Project, string) { return p.Items, p.Next })
}

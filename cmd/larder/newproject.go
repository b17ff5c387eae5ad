package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newNewProjectCommand() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use:   "new-project NAME",
		Short: "Make a project to push to, and select it",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var made api.Project
			request := api.ProjectRequest{Name: args[0], Description: description}
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/projects", request, &made); err != nil {
				return err
			}
			login, err := selectProject(made.Name)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Now using project %q on server %q.\n", made.Name, login.Server)
			return err
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what the project is for")
	return cmd
}

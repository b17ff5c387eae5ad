package main

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newDeleteRetentionCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Have a project keep everything",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			what := "retention of project " + project
			if err := confirmed(yes, what); err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, retentionPath(project), nil, nil); err != nil {
				return err
			}
			return deleted(cmd, what)
		},
	}
	addYesFlag(cmd, &yes)
	return cmd
}

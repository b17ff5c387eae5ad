package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newVersionCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if output == formatJSON || output == formatYAML {
				return newListing(cmd, output, "version").printObject(api.Version{Version: version, Commit: commit, GoVersion: runtime.Version()})
			}
			_, err := fmt.Fprintf(out, "larder %s (commit %s, %s %s/%s)\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

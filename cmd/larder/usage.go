package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// usageError is a command line that cannot be right, whatever the server says.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// usageArgs makes what check refuses a wrong usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w; usage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

const namespaceFlag = "namespace"

// addGlobalFlags adds the flags that every command knows, as oc and kubectl do.
func addGlobalFlags(root *cobra.Command) {
	root.PersistentFlags().StringP(namespaceFlag, "n", "", "the project to work in, instead of the selected one")
}

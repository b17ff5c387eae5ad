package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newDescribeRoleCommand(kind accessKind) *cobra.Command {
	return newDescribeAccessCommand(kind, func(out io.Writer, r api.Role) error {
		if err := printLines(out, [][2]string{{"Name", r.Name}, {"Summary", cmp.Or(r.Summary, "-")}, {"Age", ageOf(r.CreatedAt)}}); err != nil {
			return err
		}
		return printRules(out, r.Rules)
	})
}

// printRules shows what a role allows, a row for each resource.
func printRules(out io.Writer, rules []api.Rule) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprint(w, "\nRESOURCE\tREPOSITORIES\tVERBS\n")
	for _, rule := range rules {
		for _, resource := range rule.Resources {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", printable(resource),
				printable(cmp.Or(strings.Join(rule.ResourceNames, ", "), "all")), printable(strings.Join(rule.Verbs, ", ")))
		}
	}
	return w.Flush()
}

func newDescribeRoleBindingCommand(kind accessKind) *cobra.Command {
	return newDescribeAccessCommand(kind, func(out io.Writer, b api.RoleBinding) error {
		return printLines(out, [][2]string{
			{"Name", b.Name}, {"Role", b.RoleKind + "/" + b.Role}, {"Age", ageOf(b.CreatedAt)},
			{"Users", cmp.Or(strings.Join(b.Users, ", "), "-")}, {"Groups", cmp.Or(strings.Join(b.Groups, ", "), "-")},
		})
	})
}

// newDescribeAccessCommand tells all about one of a kind.
func newDescribeAccessCommand[T any](kind accessKind, show func(io.Writer, T) error) *cobra.Command {
	return &cobra.Command{
		Use:     kind.noun + " NAME",
		Aliases: []string{kind.plural},
		Short:   "Tell all about one of the " + kind.plural + " " + kind.where(),
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := kind.path(cmd, args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var one T
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, &one); err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), one)
		},
	}
}

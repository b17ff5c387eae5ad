package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/gc"
)

func newSetRetentionCommand() *cobra.Command {
	var (
		doc    gc.RulesDocument
		last   int
		dryRun bool
	)
	output := formatTable
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Say which tags and manifests a project keeps",
		Long: `Say which tags and manifests a project keeps, in place of what was said before. A tag
is kept when any of the --keep rules keeps it, and deleted otherwise; without a --keep
rule all tags are kept. Manifests that have no tag are deleted when --untagged-after is
given. The server does it once a day, and what was pushed within the last day stays.

See what would be deleted first, with --dry-run.`,
		Example: `  larder set retention -n demo --keep-last=10 --keep-pulled-within=30d --keep-matching='v*' --untagged-after=7d`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("keep-last") {
				doc.KeepLast = &last
			}
			if _, err := doc.Rules(); err != nil {
				return usagef("the rules were not set: %w; see '%s --help'", err, cmd.CommandPath())
			}
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			if dryRun {
				return previewRetention(cmd, project, &doc, output)
			}
			return setRetention(cmd, project, doc, output)
		},
	}
	cmd.Flags().IntVar(&last, "keep-last", 0, "keep this many `tags` of each repository, those that were set last")
	cmd.Flags().StringVar(&doc.KeepPulledWithin, "keep-pulled-within", "", "keep what was pulled, pushed or tagged within this `time`, such as 30d or 720h")
	cmd.Flags().StringArrayVar(&doc.KeepMatching, "keep-matching", nil, "keep tags that match this `pattern`, such as 'v*'; again for others")
	cmd.Flags().StringVar(&doc.UntaggedAfter, "untagged-after", "", "delete manifests that have had no tag and no use for this `time`, such as 7d")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing; show what would be deleted")
	addOutputFlag(cmd, &output)
	return cmd
}

func setRetention(cmd *cobra.Command, project string, doc gc.RulesDocument, output outputFormat) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	var set api.Retention
	if err := c.call(cmd.Context(), http.MethodPut, retentionPath(project), doc, &set); err != nil {
		return err
	}
	if set.Rules.UntaggedAfter == "" {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Manifests that lose their last tag are kept, so no room becomes free: --untagged-after deletes them.")
	}
	if output != formatTable {
		return printRetention(cmd, set, output)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "retention of project %s set; larder get retention -n %s --preview shows what goes\n", project, project)
	return err
}

func retentionPath(project string) string { return projectPath(project) + "/retention" }

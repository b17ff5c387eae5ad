package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newDeleteTagCommand() *cobra.Command {
	var filter tagFilter
	var yes, dryRun bool
	cmd := &cobra.Command{
		Use:     "tag REPOSITORY:TAG | [REPOSITORY] --stale",
		Aliases: tagNouns(),
		Short:   "Delete a tag, or all of a kind after a preview; their images stay",
		Example: "  larder delete tag demo/app:1.0\n  larder delete tags --stale -n demo --dry-run\n  larder delete tags demo/app --match 'pr-*' --yes",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if filter.any() {
			return deleteTags(cmd, args, filter, yes, dryRun)
		}
		if len(args) == 0 {
			return usagef("say which tag: %s demo/app:1.0, or which kind of tags: %s --stale", cmd.CommandPath(), cmd.CommandPath())
		}
		return deleteTag(cmd, args[0])
	}
	filter.addFlags(cmd)
	addYesFlag(cmd, &yes)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be deleted")
	return cmd
}

func deleteTag(cmd *cobra.Command, text string) error {
	n, err := withTag(cmd, text)
	if err != nil {
		return err
	}
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	if err := c.call(cmd.Context(), http.MethodDelete, n.tagPath(), nil, nil); err != nil {
		return err
	}
	return deleted(cmd, "imagestreamtag "+n.String())
}

// deleteTags deletes all tags of a kind once they have been shown. One that has moved to
// another image since then stays.
func deleteTags(cmd *cobra.Command, args []string, filter tagFilter, yes, dryRun bool) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	all, err := findTags(cmd, c, args, reach{}, filter)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return none(cmd, "No such tags found.")
	}
	if err := newListing(cmd, formatTable, "imagestreamtag").print(nil, tagRows(all, formatTable, reach{}, time.Now())); err != nil {
		return err
	}
	if dryRun {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s would be deleted\n", counted(len(all), "tag"))
		return err
	}
	if err := sureOfTags(cmd, yes, len(all)); err != nil {
		return err
	}
	return deleteEach(cmd, c, all)
}

func deleteEach(cmd *cobra.Command, c *client, all []api.Tag) error {
	for i, t := range all {
		n := imageName{project: t.Project, repository: t.Repository, tag: t.Name}
		query := url.Values{"digest": {t.Digest}}
		if err := c.call(cmd.Context(), http.MethodDelete, n.tagPath()+"?"+query.Encode(), nil, nil); err != nil {
			return fmt.Errorf("%d of %s were deleted, then %s was not: %w", i, counted(len(all), "tag"), n, err)
		}
	}
	return deleted(cmd, counted(len(all), "tag"))
}

// sureOfTags has a person say yes to what was shown. Without a terminal only --yes will do.
func sureOfTags(cmd *cobra.Command, yes bool, n int) error {
	in, ok := terminal(cmd)
	if yes || !ok {
		if yes {
			return nil
		}
		return usagef("nothing was deleted: add --yes to the line if that is meant")
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "This deletes %s; images that have no tag left stay until a rule or a person removes them. Go on? [y/N] ", counted(n, "tag"))
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fmt.Errorf("nothing was deleted: the answer was not yes")
	}
	return nil
}

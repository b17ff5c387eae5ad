package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// shownMoves is how much of a tag's history is shown.
const shownMoves = 5

func newDescribeImageStreamCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "imagestream NAME",
		Aliases: imageStreamNouns(),
		Short:   "Tell all about a repository: its tags, their history, and how to pull",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseImageName(cmd, args[0])
			if err != nil {
				return err
			}
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			var r api.Repository
			if err := c.call(cmd.Context(), http.MethodGet, n.path(), nil, &r); err != nil {
				return err
			}
			tags, err := listTags(cmd.Context(), c, n, tagFilter{})
			if err != nil {
				return err
			}
			_, host, _ := strings.Cut(login.Server, "://")
			if err := describeRepository(cmd.OutOrStdout(), r, tags, host, time.Now()); err != nil {
				return err
			}
			for _, t := range tags {
				if err := describeTag(cmd, c, t, time.Now()); err != nil {
					return err
				}
			}
			return describeImports(cmd.Context(), c, n, cmd.OutOrStdout(), time.Now())
		},
	}
}

func describeRepository(out io.Writer, r api.Repository, tags []api.Tag, host string, now time.Time) error {
	example := "latest"
	if len(tags) > 0 {
		example = tags[len(tags)-1].Name
	}
	lines := [][2]string{
		{"Name", r.Name}, {"Project", r.Project}, {"Description", cmp.Or(r.Description, "-")}, {"Visibility", r.Visibility}, {"Image lookup", lookupText(r)},
		{"Created", age(now.Sub(r.CreatedAt)) + " ago"}, {"Tags", fmt.Sprint(len(tags))},
		{"Stars", fmt.Sprint(r.Stars)}, {"Pulls", fmt.Sprint(r.Pulls)},
		{"Pull", "docker pull " + host + "/" + r.Project + "/" + r.Name + ":" + example},
	}
	if err := printLines(out, lines); err != nil {
		return err
	}
	if r.Readme == "" {
		return nil
	}
	_, err := fmt.Fprintf(out, "\n%s\n", printableText(r.Readme))
	return err
}

// printLines prints names and values below each other.
func printLines(out io.Writer, lines [][2]string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "%-16s%s\n", line[0]+":", printable(line[1])); err != nil {
			return err
		}
	}
	return nil
}

// printableText is printable for text of several lines.
func printableText(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// describeTag prints a tag, and where it pointed before.
func describeTag(cmd *cobra.Command, c *client, t api.Tag, now time.Time) error {
	out := cmd.OutOrStdout()
	_, err := fmt.Fprintf(out, "\n%s\n  %s\n  %s, %s; pushed %s, pulled %s\n", printable(t.Name), t.Digest, bytesText(t.Size),
		cmp.Or(printable(strings.Join(t.Platforms, ", ")), "platform not known"), agoText(t.PushedAt, now), cmp.Or(strings.TrimPrefix(agoText(t.PulledAt, now), "-"), "never"))
	if err != nil {
		return err
	}
	var history api.TagHistory
	at := imageName{project: t.Project, repository: t.Repository, tag: t.Name}
	if err := c.call(cmd.Context(), http.MethodGet, at.tagPath()+"/history", nil, &history); err != nil {
		return err
	}
	for i, m := range history.Items {
		if i == shownMoves {
			_, err := fmt.Fprintf(out, "  and %d moves before that\n", len(history.Items)-shownMoves)
			return err
		}
		to := cmp.Or(m.Digest, "removed")
		if _, err := fmt.Fprintf(out, "  %s ago: %s by %s\n", age(now.Sub(m.At)), to, cmp.Or(printable(m.Actor), "-")); err != nil {
			return err
		}
	}
	return nil
}

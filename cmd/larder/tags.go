package main

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func tagNouns() []string { return []string{"istag", "imagestreamtag", "imagestreamtags", "tags"} }

func newGetTagsCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     "tags [REPOSITORY | REPOSITORY:TAG]",
		Aliases: append([]string{"tag"}, tagNouns()[:3]...),
		Short:   "List the tags of a project's repositories, of one, or show one tag",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			all, err := findTags(cmd, c, args)
			if err != nil {
				return err
			}
			if len(all) == 0 && output == formatTable {
				return none(cmd, "No tags found.")
			}
			return listing{out: cmd.OutOrStdout(), format: output, resource: "imagestreamtag"}.print(api.TagList{Items: all}, tagRows(all, output, time.Now()))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func findTags(cmd *cobra.Command, c *client, args []string) ([]api.Tag, error) {
	if len(args) == 0 {
		project, err := namespace(cmd)
		if err != nil {
			return nil, err
		}
		return projectTags(cmd.Context(), c, project)
	}
	n, err := parseImageName(cmd, args[0])
	if err != nil {
		return nil, err
	}
	if n.tag == "" {
		return listTags(cmd.Context(), c, n)
	}
	var one api.Tag
	if err := c.call(cmd.Context(), http.MethodGet, n.tagPath(), nil, &one); err != nil {
		return nil, err
	}
	return []api.Tag{one}, nil
}

func projectTags(ctx context.Context, c *client, project string) ([]api.Tag, error) {
	repositories, err := listRepositories(ctx, c, project)
	all := []api.Tag{}
	for _, r := range repositories {
		some, err := listTags(ctx, c, imageName{project: project, repository: r.Name})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, err
}

func listTags(ctx context.Context, c *client, n imageName) ([]api.Tag, error) {
	return listAll(ctx, c, n.path()+"/tags", nil, func(p api.TagList) ([]api.Tag, string) { return p.Items, p.Next })
}

func tagRows(all []api.Tag, output outputFormat, now time.Time) table {
	t := table{header: []string{"NAME", "DIGEST", "SIZE", "PLATFORMS", "PUSHED", "PULLED"}, wide: []string{"SET", "MEDIA TYPE"}}
	for _, tag := range all {
		digest := tag.Digest
		if output != formatWide {
			digest = shortDigest(digest)
		}
		t.rows = append(t.rows, []string{
			tag.Repository + ":" + tag.Name, digest, bytesText(tag.Size), cmp.Or(strings.Join(tag.Platforms, ","), "-"),
			agoText(tag.PushedAt, now), agoText(tag.PulledAt, now), agoText(&tag.SetAt, now), tag.MediaType,
		})
	}
	return t
}

func newDeleteTagCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "tag REPOSITORY:TAG",
		Aliases: tagNouns(),
		Short:   "Delete a tag; its image stays",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return deleteTag(cmd, args[0]) },
	}
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

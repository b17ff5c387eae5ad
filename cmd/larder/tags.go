package main

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func tagNouns() []string { return []string{"istag", "imagestreamtag", "imagestreamtags", "tags"} }

// tagFilter is what tags are asked for.
type tagFilter struct {
	stale           bool
	match, platform string
}

func (f *tagFilter) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.stale, "stale", false, "only tags that were neither pushed nor pulled for more than a month")
	cmd.Flags().StringVar(&f.match, "match", "", "only tags that match a pattern, as v1.*")
	cmd.Flags().StringVar(&f.platform, "platform", "", "only tags with an image for a platform, as linux/arm64")
}

func (f *tagFilter) any() bool { return *f != tagFilter{} }

func (f *tagFilter) query() url.Values {
	query := url.Values{}
	if f.stale {
		query.Set("stale", "true")
	}
	if f.match != "" {
		query.Set("match", f.match)
	}
	if f.platform != "" {
		query.Set("platform", f.platform)
	}
	return query
}

func newGetTagsCommand() *cobra.Command {
	output := formatTable
	var filter tagFilter
	var of reach
	cmd := &cobra.Command{
		Use:     "tags [REPOSITORY | REPOSITORY:TAG]",
		Aliases: append([]string{"tag"}, tagNouns()[:3]...),
		Short:   "List the tags of a project's repositories, of one, or show one tag",
		Example: "  larder get tags -n demo\n  larder get tags demo/app --stale\n  larder get tags demo/app --match 'v1.*' --platform linux/arm64",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := of.excludes(args); err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			all, err := findTags(cmd, c, args, of, filter)
			if err != nil {
				return err
			}
			return newListing(cmd, output, of.resource("imagestreamtag")).print(api.TagList{Items: all}, tagRows(all, output, of, time.Now()).orSay("No tags found."))
		},
	}
	addOutputFlag(cmd, &output)
	of.addFlag(cmd)
	filter.addFlags(cmd)
	return cmd
}

func findTags(cmd *cobra.Command, c *client, args []string, of reach, filter tagFilter) ([]api.Tag, error) {
	if len(args) == 0 {
		all := []api.Tag{}
		err := of.each(cmd, c, func(project string) error {
			some, err := projectTags(cmd.Context(), c, project, filter)
			all = append(all, some...)
			return err
		})
		return all, err
	}
	n, err := parseImageName(cmd, args[0])
	if err != nil {
		return nil, err
	}
	if n.tag == "" {
		return listTags(cmd.Context(), c, n, filter)
	}
	if filter.any() {
		return nil, usagef("%q is one tag already: leave out the tag, or --stale, --match and --platform", args[0])
	}
	var one api.Tag
	if err := c.call(cmd.Context(), http.MethodGet, n.tagPath(), nil, &one); err != nil {
		return nil, err
	}
	return []api.Tag{one}, nil
}

func projectTags(ctx context.Context, c *client, project string, filter tagFilter) (all []api.Tag, err error) {
	repositories, err := listRepositories(ctx, c, project)
	for _, r := range repositories {
		some, err := listTags(ctx, c, imageName{project: project, repository: r.Name}, filter)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, err
}

func listTags(ctx context.Context, c *client, n imageName, filter tagFilter) ([]api.Tag, error) {
	return listAll(ctx, c, n.path()+"/tags", filter.query(), func(p api.TagList) ([]api.Tag, string) { return p.Items, p.Next })
}

func tagRows(all []api.Tag, output outputFormat, of reach, now time.Time) table {
	t := table{header: []string{"NAME", "DIGEST", "SIZE", "PLATFORMS", "PUSHED", "PULLED"}, wide: []string{"SET", "STALE", "MEDIA TYPE"}}
	for _, tag := range all {
		digest := tag.Digest
		if output != formatWide {
			digest = shortDigest(digest)
		}
		t.rows = append(t.rows, []string{
			of.name(tag.Project, tag.Repository) + ":" + tag.Name, digest, bytesText(tag.Size), cmp.Or(strings.Join(tag.Platforms, ","), "-"),
			agoText(tag.PushedAt, now), agoText(tag.PulledAt, now), agoText(&tag.SetAt, now), yesNo(tag.Stale), tag.MediaType,
		})
	}
	return t
}

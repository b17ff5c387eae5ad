package main

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// imageStreamNouns are what a repository may be called.
func imageStreamNouns() []string {
	return []string{"imagestreams", "is", "repo", "repos", "repository", "repositories"}
}

func newGetImageStreamsCommand() *cobra.Command {
	output := formatTable
	var of reach
	cmd := &cobra.Command{
		Use:     "imagestreams [NAME]",
		Aliases: append([]string{"imagestream"}, imageStreamNouns()[1:]...),
		Short:   "List the repositories of a project, or show one",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := of.excludes(args); err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, of.resource("imagestream"))
			if len(args) == 0 {
				return printRepositories(cmd, c, of, out)
			}
			one, err := getRepository(cmd, c, args[0])
			if err != nil {
				return err
			}
			return out.print(one, repositoryRows([]api.Repository{one}, of, time.Now()))
		},
	}
	addOutputFlag(cmd, &output)
	of.addFlag(cmd)
	return cmd
}

func printRepositories(cmd *cobra.Command, c *client, of reach, out listing) error {
	all, empty := []api.Repository{}, "No image streams found."
	err := of.each(cmd, c, func(project string) error {
		if !of.all {
			empty = noImageStreams(project)
		}
		some, err := listRepositories(cmd.Context(), c, project)
		all = append(all, some...)
		return err
	})
	if err != nil {
		return err
	}
	return out.print(api.RepositoryList{Items: all}, repositoryRows(all, of, time.Now()).orSay(empty))
}

func noImageStreams(project string) string {
	return "No image streams found in project " + project + "."
}

func listRepositories(ctx context.Context, c *client, project string) ([]api.Repository, error) {
	return listAll(ctx, c, repositoriesPath(project), nil, func(p api.RepositoryList) ([]api.Repository, string) { return p.Items, p.Next })
}

func getRepository(cmd *cobra.Command, c *client, text string) (api.Repository, error) {
	n, err := parseImageName(cmd, text)
	if err != nil {
		return api.Repository{}, err
	}
	var one api.Repository
	err = c.call(cmd.Context(), http.MethodGet, n.path(), nil, &one)
	return one, err
}

func repositoryRows(all []api.Repository, of reach, now time.Time) table {
	t := table{header: []string{"NAME", "TAGS", "UPDATED", "VISIBILITY", "DESCRIPTION"}, wide: []string{"PROJECT", "AGE", "STARS", "PULLS"}}
	for _, r := range all {
		t.rows = append(t.rows, []string{
			of.name(r.Project, r.Name), strconv.Itoa(r.Tags), agoText(r.UpdatedAt, now), r.Visibility, cmp.Or(r.Description, "-"), r.Project, age(now.Sub(r.CreatedAt)),
			strconv.Itoa(r.Stars), strconv.FormatInt(r.Pulls, 10),
		})
	}
	return t
}

// agoText is how long ago a time was that may not be known.
func agoText(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return age(now.Sub(*t)) + " ago"
}

func newCreateImageStreamCommand() *cobra.Command {
	var description string
	cmd := &cobra.Command{
		Use:     "imagestream NAME",
		Aliases: imageStreamNouns(),
		Short:   "Make a repository, which the first push does, too",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseImageName(cmd, args[0])
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			request := api.RepositoryRequest{Name: n.repository}
			if description != "" {
				request.Description = &description
			}
			if err := c.call(cmd.Context(), http.MethodPost, repositoriesPath(n.project), request, nil); err != nil {
				return err
			}
			return created(cmd, "imagestream", n.repository)
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what is in it, in at most 100 characters")
	return cmd
}

func newDeleteImageStreamCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "imagestream NAME",
		Aliases: imageStreamNouns(),
		Short:   "Delete a repository with its tags and images",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseImageName(cmd, args[0])
			if err != nil {
				return err
			}
			what := "imagestream " + n.full()
			if err := sure(cmd, yes, what, n.full()); err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, n.path(), nil, nil); err != nil {
				return err
			}
			return deleted(cmd, what)
		},
	}
	addYesFlag(cmd, &yes)
	return cmd
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newImportImageCommand() *cobra.Command {
	request := api.ImportRequest{}
	cmd := &cobra.Command{
		Use:   "import-image REPOSITORY[:TAG]",
		Short: "Let the registry take an image from another one",
		Long: `Let the registry take an image from another one into a hosted project: all platforms,
bytes and digest untouched, and nothing passes through this machine. With --scheduled
the registry asks the source every 15 minutes and follows it, until the tag is imported
without.

Without --from the tag is taken anew from where it came last.`,
		Example: `  larder import-image centos:7 --from=docker.io/library/centos:7 --confirm
  larder import-image base:stable --from=quay.io/acme/base:stable --confirm --scheduled`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, repository, tag, err := importTarget(cmd, args[0])
			if err != nil {
				return err
			}
			request.Tag = tag
			return importImage(cmd, project, repository, request)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.From, "from", "", "the `IMAGE` to take, such as docker.io/library/centos:7")
	flags.BoolVar(&request.Create, "confirm", false, "make the repository if it does not exist")
	flags.BoolVar(&request.Scheduled, "scheduled", false, "follow the source from now on")
	return cmd
}

// importTarget reads NAME[:TAG] in the selected project, or PROJECT/NAME[:TAG].
func importTarget(cmd *cobra.Command, text string) (project, repository, tag string, err error) {
	repository, tag, found := strings.Cut(text, ":")
	if !found {
		tag = "latest"
	}
	given, err := cmd.Flags().GetString(namespaceFlag)
	if err != nil {
		return "", "", "", err
	}
	if before, after, whole := strings.Cut(repository, "/"); whole && given == "" {
		return before, after, tag, nil
	}
	project, err = namespace(cmd)
	return project, repository, tag, err
}

func importImage(cmd *cobra.Command, project, repository string, request api.ImportRequest) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/api/v1/projects/%s/repositories/%s/imports", url.PathEscape(project), url.PathEscape(repository))
	var done *api.Import
	err = c.lines(cmd.Context(), path, request, func(text []byte) error {
		var line api.ImportLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", c.server, err)
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
		if line.Import != nil {
			done = line.Import
		}
		return nil
	})
	if err != nil {
		return err
	}
	if done == nil {
		return fmt.Errorf("the answer of %s broke off before the import was done: run the command again, it goes on where it was", c.server)
	}
	return tellImported(cmd, *done)
}

func tellImported(cmd *cobra.Command, i api.Import) error {
	for _, c := range i.Conditions {
		if c.Status == "False" {
			again := "run the command again once that is mended"
			if i.Scheduled {
				again = "it is tried again every 15 minutes"
			}
			return fmt.Errorf("importing %s into %s:%s failed (%s): %s; %s", i.From, i.Repository, i.Tag, c.Reason, printable(c.Message), again)
		}
	}
	follows := ""
	if i.Scheduled {
		follows = ", and follows it from now on"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "imported %s into %s:%s: %s%s\n", i.From, i.Repository, i.Tag, i.Digest, follows)
	return err
}

package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newTagCommand() *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use:   "tag SOURCE DESTINATION...",
		Short: "Point tags to an image, or delete tags with -d",
		Long: `Point tags to an image of the same repository or of another one, in any project. No
bytes are copied: the server makes the image readable in the other repository, with
all that it refers to. What a tag named before stays in its history, so that it can be
rolled back:

  larder describe imagestream app                      # where latest pointed before
  larder tag demo/app@sha256:... demo/app:latest`,
		Example: `  larder tag demo/centos:7 demo/centos:stable
  larder tag demo/centos:7 shop/centos:7 shop/centos:latest
  larder tag -d demo/centos:old`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if remove {
				for _, one := range args {
					if err := deleteTag(cmd, one); err != nil {
						return err
					}
				}
				return nil
			}
			if len(args) < 2 {
				return usagef("say which tag is to name %s, as in %s %s demo/app:stable", args[0], cmd.CommandPath(), args[0])
			}
			return setTags(cmd, args[0], args[1:])
		},
	}
	cmd.Flags().BoolVarP(&remove, "delete", "d", false, "delete the tags; their images stay")
	return cmd
}

func setTags(cmd *cobra.Command, from string, to []string) error {
	source, err := parseImageName(cmd, from)
	if err != nil {
		return err
	}
	if source.tag == "" && source.digest == "" {
		source.tag = "latest"
	}
	targets := make([]imageName, 0, len(to))
	for _, text := range to {
		target, err := withTag(cmd, text)
		if err != nil {
			return err
		}
		targets = append(targets, target)
	}
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	for _, target := range targets {
		var set api.Tag
		if err := c.call(cmd.Context(), http.MethodPut, target.tagPath(), api.TagRequest{Source: source.String()}, &set); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "Tag %s set to %s@%s.\n", target, source.full(), set.Digest); err != nil {
			return err
		}
	}
	return nil
}

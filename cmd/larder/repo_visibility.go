package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
)

// visibilities are who can pull from a repository beside those with a role, by the word
// for it.
func visibilities() map[string]api.GrantRequest {
	return map[string]api.GrantRequest{
		"private":   {},
		"logged-in": {Groups: []string{authn.GroupAuthenticated}},
		"public":    {Users: []string{authn.UserAnonymous}},
	}
}

func newVisibilityCommand() *cobra.Command {
	words := []string{"public", "logged-in", "private"}
	return &cobra.Command{
		Use:       "visibility REPOSITORY public|logged-in|private",
		Short:     "Say who can pull from a repository: everybody, all who are logged in, or those with a role",
		Args:      usageArgs(cobra.ExactArgs(2)),
		ValidArgs: words,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(words, args[1]) {
				return usagef("%q is no visibility: it is %s", args[1], enumerate(words))
			}
			n, c, err := shared(cmd, args[0])
			if err != nil {
				return err
			}
			for _, to := range visibilities() {
				if _, err := unshare(cmd, c, n, to); err != nil {
					return err
				}
			}
			if to := visibilities()[args[1]]; args[1] != "private" {
				if err := share(cmd, c, n, mayRead, to); err != nil {
					return err
				}
			}
			return sayVisibility(cmd, c, args[0], args[1])
		},
	}
}

// sayVisibility tells what holds now: what opens the whole project opens the repository.
func sayVisibility(cmd *cobra.Command, c *client, text, asked string) error {
	r, err := getRepository(cmd, c, text)
	if err != nil {
		return err
	}
	why := ""
	switch {
	case r.Visibility == strings.ReplaceAll(asked, "-", " "):
	case asked == "public" || r.Visibility == "private":
		why = " so far: an upstream may show it to no more, and other servers hear of it within a second"
	default:
		why = " all the same: another binding opens it; larder policy exposure tells which"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s/%s is %s%s\n", r.Project, r.Name, r.Visibility, why)
	return err
}

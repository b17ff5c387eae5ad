package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// sharing is one of the two kinds of whom a repository is shared with.
type sharing struct {
	noun, argument string
	group          bool
}

func (s sharing) subjects(names []string) api.GrantRequest {
	if s.group {
		return api.GrantRequest{Groups: names}
	}
	return api.GrantRequest{Users: names}
}

// newCollaboratorCommand shares a repository with users, who may then push and pull and
// nothing else.
func newCollaboratorCommand() *cobra.Command {
	s := sharing{noun: "collaborator", argument: "USER"}
	return newVerbCommand(s.noun, "do", "Share a repository with users, who may then push and pull",
		newShareCommand(s, nil), newUnshareCommand(s), newSharesCommand(s))
}

// newTeamCommand shares a repository with groups.
func newTeamCommand() *cobra.Command {
	s, given := sharing{noun: "team", argument: "GROUP", group: true}, mayRead
	add := newShareCommand(s, &given)
	add.Flags().Var(&given, "permission", "read (pull), write (pull and push) or admin (also describe, tag and delete)")
	return newVerbCommand(s.noun, "do", "Share a repository with groups", add, newUnshareCommand(s), newSharesCommand(s))
}

// newShareCommand gives a permission; nil is that of collaborators.
func newShareCommand(s sharing, given *permission) *cobra.Command {
	return &cobra.Command{
		Use:   "add REPOSITORY " + s.argument + "...",
		Short: "Share a repository",
		Args:  usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := mayWrite
			if given != nil {
				p = *given
			}
			n, c, err := shared(cmd, args[0])
			if err != nil {
				return err
			}
			if _, err := unshare(cmd, c, n, s.subjects(args[1:])); err != nil {
				return err
			}
			if err := share(cmd, c, n, p, s.subjects(args[1:])); err != nil {
				return err
			}
			for _, who := range args[1:] {
				if err := sayShared(cmd, n, s.noun+" "+who, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newUnshareCommand(s sharing) *cobra.Command {
	return &cobra.Command{
		Use:   "remove REPOSITORY " + s.argument + "...",
		Short: "Share a repository no longer",
		Args:  usageArgs(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, c, err := shared(cmd, args[0])
			if err != nil {
				return err
			}
			taken, err := unshare(cmd, c, n, s.subjects(args[1:]))
			if err != nil {
				return err
			}
			if !taken {
				return fmt.Errorf("%s is shared with no such %s: larder repo %s list %s tells with whom it is", n.full(), s.noun, s.noun, n.full())
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is no longer shared with %s\n", n.full(), enumerate(args[1:]))
			return err
		},
	}
}

func newSharesCommand(s sharing) *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "list REPOSITORY",
		Short: "Tell with whom a repository is shared; roles of the whole project are told by larder policy who-can",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, c, err := shared(cmd, args[0])
			if err != nil {
				return err
			}
			all, err := shares(cmd, c, n)
			if err != nil {
				return err
			}
			t := sharedRows(all, s.group)
			return newListing(cmd, output, s.noun).print(t.rows, t.orSay(n.full()+" is shared with no "+s.noun+"."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// shared finds the repository that is to be shared, by the name that it has: it must be
// there.
func shared(cmd *cobra.Command, text string) (imageName, *client, error) {
	n, err := parseImageName(cmd, text)
	if err != nil {
		return imageName{}, nil, err
	}
	c, _, err := currentClient()
	if err != nil {
		return imageName{}, nil, err
	}
	r, err := getRepository(cmd, c, text)
	n.project, n.repository = r.Project, r.Name
	return n, c, err
}

// common are the names that are in both.
func common(some, others []string) []string {
	return slices.DeleteFunc(slices.Clone(some), func(name string) bool { return !slices.Contains(others, name) })
}

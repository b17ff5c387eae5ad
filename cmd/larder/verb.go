package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newVerbCommand is a command that has others below it and does nothing by itself: a verb
// and its nouns. What it knows is told from the nouns, so that no list of them has to be
// kept; doing is the verb as it is asked for when the noun is missing.
func newVerbCommand(verb, doing, short string, nouns ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb,
		Short: short,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		names := make([]string, 0, len(nouns))
		for _, noun := range nouns {
			names = append(names, noun.Name())
		}
		path := cmd.CommandPath()
		if len(args) == 0 {
			return usagef("say what to %s: %s %s", doing, path, names[0])
		}
		return usagef("%s does not know %q: it knows %s", path, args[0], enumerate(names))
	}
	cmd.AddCommand(nouns...)
	return cmd
}

// enumerate is a list in words.
func enumerate(names []string) string {
	last := len(names) - 1
	if last <= 0 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// typeAndName takes TYPE/NAME apart, which -o name prints and kubectl reads, where a verb
// about one thing is followed by it: larder get imagestream/centos.
func typeAndName(root *cobra.Command, args []string) []string {
	verb, _, err := root.Find(args)
	if err != nil || !slices.Contains([]string{"get", "describe", "delete", "edit"}, verb.Name()) {
		return args
	}
	for i, arg := range args {
		noun, name, both := strings.Cut(arg, "/")
		at := slices.IndexFunc(verb.Commands(), func(c *cobra.Command) bool { return c.Name() == noun || c.HasAlias(noun) })
		if !both || name == "" || at < 0 {
			continue
		}
		if of := verb.Commands()[at].Name(); strings.HasPrefix(of, "imagestream") || strings.HasPrefix(of, "tag") {
			name = inProject(slices.ContainsFunc(args, namesProject), name)
		}
		return slices.Replace(slices.Clone(args), i, i+1, noun, name)
	}
	return args
}

func namesProject(arg string) bool {
	return strings.HasPrefix(arg, "-n") || strings.HasPrefix(arg, "--"+namespaceFlag)
}

// inProject puts the selected project, which -o name leaves out, in front of a repository's
// name that has a slash, unless the command line names one.
func inProject(named bool, name string) string {
	login, err := selectedProject()
	if named || err != nil || !strings.Contains(name, "/") {
		return name
	}
	return login.Namespace + "/" + name
}

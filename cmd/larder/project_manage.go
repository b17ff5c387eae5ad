package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/oci"
)

func newDescribeProjectCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "project NAME",
		Aliases: []string{"projects", "namespace", "namespaces", "ns"},
		Short:   "Tell all about a project",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			var p api.Project
			if err := c.call(cmd.Context(), http.MethodGet, projectPath(args[0]), nil, &p); err != nil {
				return err
			}
			return printLines(cmd.OutOrStdout(), projectLines(p, time.Now()))
		},
	}
}

func projectLines(p api.Project, now time.Time) [][2]string {
	used := "-"
	if p.Used != nil {
		used = bytesText(*p.Used)
	}
	return [][2]string{
		{"Name", p.Name}, {"Kind", p.Kind}, {"Description", cmp.Or(p.Description, "-")}, {"Visibility", p.Visibility},
		{"Made by", cmp.Or(p.Creator, "-")}, {"Created", age(now.Sub(p.CreatedAt)) + " ago"},
		{"Used", used}, {"Quota", quotaText(p.Quota)}, {"Immutable tags", cmp.Or(strings.Join(p.ImmutableTags, ", "), "none")},
	}
}

func newDeleteProjectCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "project NAME",
		Aliases: []string{"projects", "namespace", "namespaces", "ns"},
		Short:   "Delete a project with everything that is in it",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, login, err := currentClient()
			if err != nil {
				return err
			}
			what := fmt.Sprintf("project %q", args[0])
			if err := sure(cmd, yes, what, args[0]); err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodDelete, projectPath(args[0]), nil, nil); err != nil {
				return err
			}
			if login.Namespace == args[0] {
				if _, err := selectProject(""); err != nil {
					return err
				}
			}
			return deleted(cmd, what)
		},
	}
	addYesFlag(cmd, &yes)
	return cmd
}

// sure has a person type the name of what goes for good. Without a terminal only --yes
// will do.
func sure(cmd *cobra.Command, yes bool, what, name string) error {
	in, ok := terminal(cmd)
	if yes || !ok {
		return confirmed(yes, what)
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "This deletes %s with everything that is in it. Type its name, %s, to go on: ", what, name)
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the name: %w", err)
	}
	if strings.TrimSpace(line) != name {
		return fmt.Errorf("%s was not deleted: that is not its name", what)
	}
	return nil
}

func newSetQuotaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "quota PROJECT SIZE",
		Short: "Say how much the images of a project may take",
		Long: `Say how much the images of a project may take, all blobs counted once. A push that
would take more is refused. The size none takes the quota away.`,
		Example: "  larder set quota demo 200GiB\n  larder set quota demo none",
		Args:    usageArgs(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var quota int64
			if args[1] != "none" {
				var err error
				if quota, err = oci.ParseSize(args[1]); err != nil {
					return usagef("the quota was not set: %w, or none", err)
				}
			}
			p, err := changeProject(cmd, args[0], api.ProjectChange{Quota: &quota})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "quota of project %s is %s; it takes %s now\n", p.Name, quotaText(p.Quota), bytesText(*p.Used))
			return err
		},
	}
}

func newSetImmutableTagsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "immutable-tags PATTERN...",
		Short: "Say which tags of a project are set once and then stay",
		Long: `Say which tags of a project are set once and then stay: another image cannot be pushed
to them, and neither people nor retention can delete them. The patterns replace those
that there were; none takes them away. * stands for any characters, ? for one, [a-z]
for one of those.`,
		Example: "  larder set immutable-tags -n demo 'v*' 'release-*'\n  larder set immutable-tags -n demo none",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			patterns := args
			if len(args) == 1 && args[0] == "none" {
				patterns = []string{}
			}
			if err := oci.TagPatterns(patterns).Check("the command line"); err != nil {
				return &usageError{err}
			}
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			p, err := changeProject(cmd, project, api.ProjectChange{ImmutableTags: &patterns})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "immutable tags of project %s: %s\n", p.Name, cmp.Or(strings.Join(p.ImmutableTags, ", "), "none"))
			return err
		},
	}
}

func changeProject(cmd *cobra.Command, name string, change api.ProjectChange) (api.Project, error) {
	c, _, err := currentClient()
	if err != nil {
		return api.Project{}, err
	}
	var p api.Project
	if err := c.call(cmd.Context(), http.MethodPatch, projectPath(name), change, &p); err != nil {
		return api.Project{}, err
	}
	if p.Used == nil {
		p.Used = new(int64)
	}
	return p, nil
}

func newSetDescriptionCommand() *cobra.Command {
	var readme string
	cmd := &cobra.Command{
		Use:   "description PROJECT|PROJECT/REPOSITORY [TEXT]",
		Short: "Say what a project or a repository is for",
		Long: `Say what a project or a repository is for, on one line: of a repository in at most 100
characters. --readme gives a repository a longer text, in Markdown.`,
		Example: "  larder set description demo 'Where things are tried'\n  larder set description demo/app 'The app' --readme README.md",
		Args:    usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && readme == "" {
				return usagef("no text is given; usage: %s", cmd.UseLine())
			}
			if err := setDescription(cmd, args, readme); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s described\n", args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&readme, "readme", "", "a `file` of Markdown; - is standard input")
	return cmd
}

func setDescription(cmd *cobra.Command, args []string, readme string) error {
	var text api.RepositoryText
	if len(args) == 2 {
		text.Description = &args[1]
	}
	if !strings.Contains(args[0], "/") {
		if readme != "" {
			return usagef("a project has no readme: write the repository as in %s/app", args[0])
		}
		_, err := changeProject(cmd, args[0], api.ProjectChange{Description: text.Description})
		return err
	}
	n, err := parseImageName(cmd, args[0])
	if err != nil {
		return err
	}
	if readme != "" {
		long, err := readReadme(cmd, readme)
		if err != nil {
			return err
		}
		text.Readme = &long
	}
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	return c.call(cmd.Context(), http.MethodPatch, n.path(), text, nil)
}

// maxReadme bounds a text that is read from a file, in bytes; the server bounds it more
// closely.
const maxReadme = 64 << 10

func readReadme(cmd *cobra.Command, name string) (string, error) {
	from := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("reading the readme: %w", err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxReadme))
	if err != nil {
		return "", fmt.Errorf("reading the readme: %w", err)
	}
	return string(text), nil
}

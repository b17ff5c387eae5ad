package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

func newProjectCommand() *cobra.Command {
	var short bool
	cmd := &cobra.Command{
		Use:   "project [NAME]",
		Short: "Select a project, or show the selected one",
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := "Using project %q on server %q.\n"
			var login loginContext
			var err error
			if len(args) == 1 {
				text = "Now using project %q on server %q.\n"
				login, err = switchProject(cmd, args[0])
			} else {
				login, err = selectedProject()
			}
			if err != nil {
				return err
			}
			if short {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), login.Namespace)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), text, login.Namespace, login.Server)
			return err
		},
	}
	cmd.Flags().BoolVarP(&short, "short", "q", false, "print the name only")
	return cmd
}

// switchProject selects a project that the server knows.
func switchProject(cmd *cobra.Command, name string) (loginContext, error) {
	c, _, err := currentClient()
	if err != nil {
		return loginContext{}, err
	}
	var found api.Project
	if err := c.call(cmd.Context(), http.MethodGet, projectPath(name), nil, &found); err != nil {
		return loginContext{}, err
	}
	return selectProject(found.Name)
}

func selectedProject() (loginContext, error) {
	all, err := readContexts()
	if err != nil {
		return loginContext{}, err
	}
	login, err := all.current()
	if err == nil && login.Namespace == "" {
		err = errors.New("no project is selected: select one with larder project NAME; larder projects lists them")
	}
	return login, err
}

// namespace is the project that the command line names with -n, or the selected one.
func namespace(cmd *cobra.Command) (string, error) {
	if n, err := cmd.Flags().GetString(namespaceFlag); err != nil || n != "" {
		return n, err
	}
	login, err := selectedProject()
	return login.Namespace, err
}

// selectProject keeps a project's name as the one to work in.
func selectProject(name string) (loginContext, error) {
	all, err := readContexts()
	if err != nil {
		return loginContext{}, err
	}
	login, err := all.current()
	if err != nil {
		return loginContext{}, err
	}
	login.Namespace = name
	all.keep(login)
	return login, all.write()
}

func projectPath(name string) string { return "/api/v1/projects/" + url.PathEscape(name) }

package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"
)

// reach is which projects a list is of: the one to work in, or all that can be seen.
type reach struct{ all bool }

func (r *reach) addFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&r.all, "all-namespaces", "A", false, "those of all projects that you may see, with the project in front of each name")
}

// each calls fn for the projects that are listed. Of all of them, one that may be seen and
// not listed, or that is deleted meanwhile, is told of and left out.
func (r reach) each(cmd *cobra.Command, c *client, fn func(project string) error) error {
	if !r.all {
		project, err := namespace(cmd)
		if err != nil {
			return err
		}
		return fn(project)
	}
	all, err := listProjects(cmd.Context(), c)
	if err != nil {
		return err
	}
	for _, p := range all {
		err := fn(p.Name)
		if refused, ok := errors.AsType[*answerError](err); ok && (refused.status == http.StatusForbidden || refused.status == http.StatusNotFound) {
			warn(cmd, "project %s is left out: %s", p.Name, refused)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// excludes refuses what is named where all was asked for.
func (r reach) excludes(args []string) error {
	if r.all && len(args) > 0 {
		return usagef("--all-namespaces lists all: leave it out, or %q", args[0])
	}
	return nil
}

// name is a name as it is listed.
func (r reach) name(project, name string) string {
	if r.all {
		return project + "/" + name
	}
	return name
}

// resource is what -o name puts before names: nothing before those with their project, which
// after TYPE/ would be read as a repository of the selected one.
func (r reach) resource(noun string) string {
	if r.all {
		return ""
	}
	return noun
}

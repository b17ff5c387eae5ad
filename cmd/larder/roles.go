package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// accessKind is one of the four kinds of things that say who may do what: roles and
// bindings, of a project or of all.
type accessKind struct {
	noun, plural string
	cluster      bool
}

func roleKind() accessKind { return accessKind{noun: "role", plural: "roles"} }
func clusterRoleKind() accessKind {
	return accessKind{noun: "clusterrole", plural: "clusterroles", cluster: true}
}
func bindingKind() accessKind { return accessKind{noun: "rolebinding", plural: "rolebindings"} }
func clusterBindingKind() accessKind {
	return accessKind{noun: "clusterrolebinding", plural: "clusterrolebindings", cluster: true}
}

// path is where the things of a kind are, or one of them.
func (k accessKind) path(cmd *cobra.Command, name ...string) (string, error) {
	path := "/api/v1/" + k.plural
	if !k.cluster {
		project, err := namespace(cmd)
		if err != nil {
			return "", err
		}
		path = projectPath(project) + "/" + k.plural
	}
	for _, n := range name {
		path += "/" + url.PathEscape(n)
	}
	return path, nil
}

func (k accessKind) where() string {
	if k.cluster {
		return "of all projects"
	}
	return "of the project"
}

// empty says that there is nothing of a kind. Which project that is said of is known, or path
// would have failed.
func (k accessKind) empty(cmd *cobra.Command) string {
	if k.cluster {
		return "No " + k.plural + " found."
	}
	project, _ := namespace(cmd)
	return "No " + k.plural + " found in project " + project + "."
}

func newDeleteAccessCommand(kind accessKind) *cobra.Command {
	return newDeleteNamedCommand(kind.noun, "Delete one of the "+kind.plural+" "+kind.where(), []string{kind.plural},
		func(cmd *cobra.Command, name string) (string, error) { return kind.path(cmd, name) })
}

func newCreateRoleCommand(kind accessKind) *cobra.Command {
	var verbs, resources, names []string
	cmd := &cobra.Command{
		Use:     kind.noun + " NAME --verb=VERB --resource=RESOURCE",
		Short:   "Make a role " + kind.where(),
		Example: "  larder create " + kind.noun + " my-image-puller --verb=get --resource=imagestreams.image.openshift.io/layers --resource-name=centos",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(verbs) == 0 || len(resources) == 0 {
				return usagef("a role needs --verb and --resource; usage: %s", cmd.UseLine())
			}
			rule := api.Rule{Verbs: verbs, Resources: resources, ResourceNames: names}
			return createAccess(cmd, kind, args[0], api.RoleRequest{Name: args[0], Rules: []api.Rule{rule}})
		},
	}
	cmd.Flags().StringSliceVar(&verbs, "verb", nil, "what may be done: get, list, watch, create, update, patch, delete")
	cmd.Flags().StringSliceVar(&resources, "resource", nil, "what it may be done to, as imagestreams/layers, to which get is to pull and update to push")
	cmd.Flags().StringArrayVar(&names, "resource-name", nil, "a repository, without the project; all when there is none")
	return cmd
}

// createAccess makes a role or a binding.
func createAccess(cmd *cobra.Command, kind accessKind, name string, request any) error {
	path, err := kind.path(cmd)
	if err != nil {
		return err
	}
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	if err := c.call(cmd.Context(), http.MethodPost, path, request, nil); err != nil {
		return err
	}
	return created(cmd, kind.noun, name)
}

func newGetRolesCommand(kind accessKind) *cobra.Command {
	return newGetAccessCommand(kind, func(all []api.Role) table {
		t := table{header: []string{"NAME", "AGE", "SUMMARY"}, wide: []string{"RULES"}}
		for _, r := range all {
			t.rows = append(t.rows, []string{r.Name, ageOf(r.CreatedAt), r.Summary, describeRules(r.Rules)})
		}
		return t
	}, func(p api.RoleList) ([]api.Role, string) { return p.Items, p.Next }, func(all []api.Role) any { return api.RoleList{Items: all} })
}

func newGetRoleBindingsCommand(kind accessKind) *cobra.Command {
	return newGetAccessCommand(kind, func(all []api.RoleBinding) table {
		t := table{header: []string{"NAME", "ROLE", "AGE"}, wide: []string{"USERS", "GROUPS"}}
		for _, b := range all {
			t.rows = append(t.rows, []string{b.Name, b.RoleKind + "/" + b.Role, ageOf(b.CreatedAt), joined(b.Users), joined(b.Groups)})
		}
		return t
	}, func(p api.RoleBindingList) ([]api.RoleBinding, string) { return p.Items, p.Next }, func(all []api.RoleBinding) any { return api.RoleBindingList{Items: all} })
}

// newGetAccessCommand lists the things of a kind, or shows one.
func newGetAccessCommand[T, L any](kind accessKind, rows func([]T) table, page func(L) ([]T, string), list func([]T) any) *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:     kind.plural + " [NAME]",
		Aliases: []string{kind.noun},
		Short:   "List the " + kind.plural + " " + kind.where() + ", or show one",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := kind.path(cmd, args...)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			out := newListing(cmd, output, kind.noun)
			if len(args) == 1 {
				var one T
				if err := c.call(cmd.Context(), http.MethodGet, path, nil, &one); err != nil {
					return err
				}
				return out.print(one, rows([]T{one}))
			}
			all, err := listAll(cmd.Context(), c, path, nil, page)
			if err != nil {
				return err
			}
			return out.print(list(all), rows(all).orSay(kind.empty(cmd)))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

// ageOf is the age of something, or a dash for what was always there.
func ageOf(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return age(time.Since(at))
}

func describeRules(rules []api.Rule) string {
	var texts []string
	for _, r := range rules {
		text := joined(r.Verbs) + " " + joined(r.Resources)
		if len(r.ResourceNames) > 0 {
			text += " " + joined(r.ResourceNames)
		}
		if !slices.Contains(texts, text) { // a role may be made of others
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

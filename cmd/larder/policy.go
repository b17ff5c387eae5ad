package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
)

func newPolicyCommand() *cobra.Command {
	return newVerbCommand("policy", "do", "Say who may do what in a project",
		newGrantCommand(grantVerb{name: "add-role-to-user", give: true, short: "Give a role to users in the project"}),
		newGrantCommand(grantVerb{name: "add-role-to-group", give: true, group: true, short: "Give a role to groups in the project"}),
		newGrantCommand(grantVerb{name: "remove-role-from-user", short: "Take a role from users in the project"}),
		newGrantCommand(grantVerb{name: "remove-role-from-group", group: true, short: "Take a role from groups in the project"}),
		newWhoCanCommand(), newExposureCommand(),
	)
}

func newAdmPolicyCommand() *cobra.Command {
	return newVerbCommand("policy", "do", "Say who may do what in all projects",
		newGrantCommand(grantVerb{name: "add-cluster-role-to-user", give: true, cluster: true, short: "Give a role to users in all projects"}),
		newGrantCommand(grantVerb{name: "add-cluster-role-to-group", give: true, group: true, cluster: true, short: "Give a role to groups in all projects"}),
		newGrantCommand(grantVerb{name: "remove-cluster-role-from-user", cluster: true, short: "Take a role from users in all projects"}),
		newGrantCommand(grantVerb{name: "remove-cluster-role-from-group", group: true, cluster: true, short: "Take a role from groups in all projects"}),
	)
}

// grantVerb is one of the commands that give and take roles.
type grantVerb struct {
	name, short          string
	give, group, cluster bool
}

func newGrantCommand(verb grantVerb) *cobra.Command {
	var accounts []string
	var roleNamespace string
	subjects := "USER..."
	if verb.group {
		subjects = "GROUP..."
	}
	cmd := &cobra.Command{
		Use:   verb.name + " ROLE " + subjects,
		Short: verb.short,
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := api.GrantRequest{Role: args[0]}
			if verb.group {
				request.Groups = args[1:]
			} else {
				request.Users = args[1:]
			}
			path := "/api/v1/clustergrants"
			if !verb.cluster {
				project, err := namespace(cmd)
				if err != nil {
					return err
				}
				path = projectPath(project) + "/grants"
				for _, account := range accounts {
					request.Users = append(request.Users, authn.ServiceAccount(project, account))
				}
				if roleNamespace != "" {
					request.RoleKind = "Role"
				}
			}
			if len(request.Users)+len(request.Groups) == 0 {
				return usagef("say whom role %s is for; usage: %s", args[0], cmd.UseLine())
			}
			return grant(cmd, verb, path, request)
		},
	}
	if !verb.cluster && !verb.group {
		cmd.Flags().StringArrayVarP(&accounts, "serviceaccount", "z", nil, "a service account of the project")
	}
	if !verb.cluster {
		cmd.Flags().StringVar(&roleNamespace, "role-namespace", "", "the role is one of the project itself, which is named here")
	}
	return cmd
}

func grant(cmd *cobra.Command, verb grantVerb, path string, request api.GrantRequest) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	method := http.MethodDelete
	if verb.give {
		method = http.MethodPost
	}
	var done api.GrantAnswer
	if err := c.call(cmd.Context(), method, path, request, &done); err != nil {
		return err
	}
	for _, line := range done.Done {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
			return err
		}
	}
	return nil
}

func newWhoCanCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "who-can VERB RESOURCE [NAME]",
		Short: "List who may do something in the project",
		Args:  usageArgs(cobra.RangeArgs(2, 3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := namespace(cmd)
			if err != nil {
				return err
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			query := url.Values{"verb": {args[0]}, "resource": {args[1]}}
			if len(args) == 3 {
				query.Set("name", args[2])
			}
			var all api.HolderList
			if err := c.call(cmd.Context(), http.MethodGet, projectPath(project)+"/who-can?"+query.Encode(), nil, &all); err != nil {
				return err
			}
			t := table{header: []string{"NAME", "KIND", "REASON"}}
			for _, h := range all.Items {
				reason := h.Reason
				if len(h.Names) > 0 {
					reason += ", for " + strings.Join(h.Names, ", ") + " alone"
				}
				t.rows = append(t.rows, []string{h.Name, h.Kind, reason})
			}
			return newListing(cmd, output, "subject").print(all, t.orSay(fmt.Sprintf("Nobody may %s %s in project %s.", args[0], args[1], project)))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

func newExposureCommand() *cobra.Command {
	output := formatTable
	cmd := &cobra.Command{
		Use:   "exposure",
		Short: "List what everybody, or everybody who is logged in, can reach",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			all, err := listAll(cmd.Context(), c, "/api/v1/exposure", nil, func(p api.ExposureList) ([]api.Exposed, string) { return p.Items, p.Next })
			if err != nil {
				return err
			}
			t := table{header: []string{"PROJECT", "REPOSITORIES", "TO", "MAY"}, wide: []string{"REASON"}}
			for _, e := range all {
				t.rows = append(t.rows, []string{e.Project, orAll(e.Repositories), e.To, joined(e.Actions), e.Reason})
			}
			return newListing(cmd, output, "project").print(api.ExposureList{Items: all}, t.orSay("Nothing that you may see is open to everybody, or to all who are logged in."))
		},
	}
	addOutputFlag(cmd, &output)
	return cmd
}

package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/authn"
)

func newCreateRoleBindingCommand(kind accessKind) *cobra.Command {
	var role, clusterRole string
	var users, groups, accounts []string
	cmd := &cobra.Command{
		Use:     kind.noun + " NAME --clusterrole=ROLE --user=USER",
		Short:   "Give a role to users and groups by a new binding " + kind.where(),
		Example: "  larder create " + kind.noun + " my-image-puller --clusterrole=system:image-puller --user=system:anonymous",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (role == "") == (clusterRole == "") {
				return usagef("a binding needs one role; usage: %s", cmd.UseLine())
			}
			request := api.RoleBindingRequest{Name: args[0], RoleKind: "ClusterRole", Role: clusterRole, Users: users, Groups: groups}
			if role != "" {
				request.RoleKind, request.Role = "Role", role
			}
			for _, account := range accounts {
				project, name, ok := strings.Cut(account, ":")
				if !ok {
					return usagef("--serviceaccount takes PROJECT:NAME, and not %q", account)
				}
				request.Users = append(request.Users, authn.ServiceAccount(project, name))
			}
			if len(request.Users)+len(request.Groups) == 0 {
				return usagef("a binding needs --user, --group or --serviceaccount; usage: %s", cmd.UseLine())
			}
			return createAccess(cmd, kind, args[0], request)
		},
	}
	if !kind.cluster {
		cmd.Flags().StringVar(&role, "role", "", "a role of the project")
	}
	cmd.Flags().StringVar(&clusterRole, "clusterrole", "", "a role of all projects")
	cmd.Flags().StringArrayVar(&users, "user", nil, "a user that gets the role")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "a group that gets the role")
	cmd.Flags().StringArrayVar(&accounts, "serviceaccount", nil, "a service account that gets the role, as PROJECT:NAME")
	return cmd
}

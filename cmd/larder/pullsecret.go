package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

// secretName is what Kubernetes accepts (RFC 1123, a DNS subdomain).
var secretName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

func newPullSecretCommand() *cobra.Command {
	var host, account string
	life := duration(365 * 24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "pull-secret [NAME]",
		Short: "Print a Kubernetes Secret with which a cluster pulls",
		Long: `Print a Secret of the type kubernetes.io/dockerconfigjson, and as comments how pods use
it. It holds a token that can pull what you may pull, or what a service account of the
project may. A new token is made each time.`,
		Example: `  larder pull-secret | kubectl apply -f -
  larder pull-secret larder-ci -z ci -n demo > secret.yaml`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "larder-pull"
			if len(args) == 1 {
				name = args[0]
			}
			if !secretName.MatchString(name) {
				return usagef("%q is no name of a Secret: it is made of lower-case letters, digits, - and .", name)
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			if host == "" {
				if host, err = registryHost(cmd.Context(), c); err != nil {
					return err
				}
			}
			token, err := registryToken(cmd, c, account, api.TokenRequest{
				Description: "larder pull-secret " + name, Scopes: []string{"read"}, ExpirationSeconds: life.seconds(),
			})
			if err != nil {
				return err
			}
			text, err := pullSecret(name, host, token)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&host, "registry", "", "the registry's host, if the cluster reaches it by another name")
	flags.StringVarP(&account, "service-account", "z", "", "pull as this service account of the project")
	flags.Var(&life, "expires", "how long it is good for, as 90d; a year at most")
	return cmd
}

// pullSecret is YAML whose values need no quotes: names were checked, the rest is base 64.
func pullSecret(name, host string, token api.Token) (string, error) {
	config, err := json.Marshal(map[string]any{"auths": map[string]any{host: entryOf(token)}})
	if err != nil {
		return "", fmt.Errorf("writing the Secret: %w", err)
	}
	return fmt.Sprintf(`# It pulls from %[4]s as %[3]s until %[5]s.
#
# A pod uses it by
#
#   spec:
#     imagePullSecrets:
#     - name: %[1]s
#
# and all pods of a namespace that name no other service account do after
#
#   kubectl patch serviceaccount default -p '{"imagePullSecrets": [{"name": "%[1]s"}]}'
apiVersion: v1
kind: Secret
metadata:
  name: %[1]s
type: kubernetes.io/dockerconfigjson
data:
  .dockerconfigjson: %[2]s
`, name, base64.StdEncoding.EncodeToString(config), token.User, host, token.ExpiresAt.UTC().Format(time.RFC3339)), nil
}

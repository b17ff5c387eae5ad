package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/server"
)

func newKubeRelayCommand() *cobra.Command {
	var c server.RelayConfig
	var to, secret string
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Answer an API server for a registry that may be away",
		Long: `Answer the admission webhook of an API server by what the registry's webhook answers, and
leave pods as they are, at once, while that does not answer. It runs in pods of its own:
an API server then never waits for a registry that restarts or whose node is gone.

The certificate is that of the registry's kubernetes.secret, which both share.`,
		Example: "  larder kube relay --to https://larder.larder.svc:9443 --secret larder/larder-webhook",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.To, err = bareURL("to", to); err != nil {
				return err
			}
			if c.To.Scheme != "https" {
				return usagef("--to %q has to begin with https://: an admission webhook always has TLS", to)
			}
			var ok bool
			if c.Secret, ok = server.ParseSecretName(secret); !ok {
				return usagef("--secret %q is not a Secret of a cluster: write NAMESPACE/NAME, as in larder/larder-webhook", secret)
			}
			return runUntilSignalled(cmd.Context(), func(ctx context.Context, log *slog.Logger) error {
				c.Log = log
				return server.RunRelay(ctx, c)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Listen, "listen", ":9443", "`ADDR` that the API server reaches")
	flags.StringVar(&to, "to", "", "where the registry's kubernetes.listen is reached, as `URL`")
	flags.StringVar(&secret, "secret", "", "the registry's kubernetes.secret, as `NAMESPACE/NAME`")
	flags.StringArrayVar(&c.Names, "name", nil, "a `HOST` by which the API server reaches this; may be repeated")
	flags.StringVar(&c.Kubeconfig, "kubeconfig", "", "a `FILE` that says which cluster; without it, the one that this pod is in")
	return cmd
}

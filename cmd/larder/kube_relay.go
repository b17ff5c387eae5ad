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

The certificate is that of the registry's kubernetes.secret, which both share, or the one in
files that somebody else renews, as cert-manager does (--cert, --key and --ca); renewed ones
are shown by themselves.`,
		Example: `  larder kube relay --to https://larder.larder.svc:9443 --secret larder/larder-webhook
  larder kube relay --to https://larder.larder.svc:9443 --cert tls.crt --key tls.key --ca ca.crt`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.To, err = bareURL("to", to); err != nil {
				return err
			}
			if c.To.Scheme != "https" {
				return usagef("--to %q has to begin with https://: an admission webhook always has TLS", to)
			}
			if err := relayCertificate(&c, secret); err != nil {
				return err
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
	flags.StringVar(&c.Files.Cert, "cert", "", "a PEM `FILE` with the certificate, instead of --secret")
	flags.StringVar(&c.Files.Key, "key", "", "a PEM `FILE` with its key")
	flags.StringVar(&c.Files.CA, "ca", "", "a PEM `FILE` with the CA of the registry's certificate")
	flags.StringArrayVar(&c.Names, "name", nil, "a `HOST` by which the API server reaches this; may be repeated")
	flags.StringVar(&c.Kubeconfig, "kubeconfig", "", "a `FILE` that says which cluster; without it, the one that this pod is in")
	return cmd
}

// relayCertificate reads where the certificate of a relay is.
func relayCertificate(c *server.RelayConfig, secret string) error {
	files := c.Files
	switch {
	case files == server.RelayFiles{}:
		name, ok := server.ParseSecretName(secret)
		if !ok {
			return usagef("--secret %q is not a Secret of a cluster: write NAMESPACE/NAME, as in larder/larder-webhook", secret)
		}
		c.Secret = &name
	case secret != "":
		return usagef("--secret and --cert are two sources of one certificate: keep one of them")
	case files.Cert == "" || files.Key == "" || files.CA == "":
		return usagef("--cert, --key and --ca go together: name all three, as in --cert tls.crt --key tls.key --ca ca.crt")
	}
	return nil
}

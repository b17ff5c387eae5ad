package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/helmchart"
	"github.com/larder-registry/larder/internal/mirror"
)

const (
	// maxValues bounds a file of values, in bytes.
	maxValues = 1 << 20
	// manifestsFor is the version of Kubernetes that the manifests are written for; an older
	// one refuses the policy by itself.
	manifestsFor = "1.36.0"
	// adminSecret and defaultTLSSecret are Secrets that the manifests name and do not make.
	adminSecret      = "larder-admin"
	defaultTLSSecret = "larder-tls"
)

// manifestsCommand is what the flags of larder kube manifests say.
type manifestsCommand struct {
	namespace, publicURL, image, valuesFile, ca string
	webhook, policy, nodes, ingress             bool
	ingressClass, tlsSecret                     string

	given func(flag string) bool
}

func newKubeManifestsCommand() *cobra.Command {
	var m manifestsCommand
	cmd := &cobra.Command{
		Use:   "manifests",
		Short: "Print all that runs the registry in a cluster and has its pods use it",
		Long: `Print what runs the registry in a cluster, for kubectl apply: its namespace, its account and
rights, its configuration, volume, pods, services and ingress, and the ways in by which the
images of pods are pulled through it, of which the webhook is there unless --webhook=false.
It is what the Helm chart makes, for those who have no Helm; --values takes a file of the
chart's values.

HOST is that of --public-url, else of the server that you are logged in to. No cluster is
asked, and the same flags print the same.`,
		Example: `  larder kube manifests --public-url https://registry.example.com --image registry.example.com/larder/larder:1 | kubectl apply -f -
  larder kube manifests --policy --nodes --ca larder-ca.crt
  larder kube manifests --values values.yaml`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			m.given = cmd.Flags().Changed
			return m.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&m.namespace, "in", "larder", "the namespace of the registry")
	flags.StringVar(&m.publicURL, "public-url", "", "how clients, pods and nodes call the registry, `https://HOST`")
	flags.StringVar(&m.image, "image", "", "an image of larder, as the cluster pulls it")
	flags.StringVar(&m.valuesFile, "values", "", "a `FILE` with values of the chart; a flag beats it")
	flags.BoolVar(&m.webhook, "webhook", true, "have a webhook rewrite the images of pods")
	flags.BoolVar(&m.policy, "policy", false, "have a policy inside the API server rewrite them (Kubernetes 1.36)")
	flags.BoolVar(&m.nodes, "nodes", false, "have containerd on each node ask the registry first")
	flags.StringVar(&m.ca, "ca", "", "a PEM `FILE` with the CA of the registry's certificate, if nodes and pods do not know it")
	flags.BoolVar(&m.ingress, "ingress", true, "have an ingress lead to the registry")
	flags.StringVar(&m.ingressClass, "ingress-class", "", "the class of the ingress, instead of the cluster's own")
	flags.StringVar(&m.tlsSecret, "tls-secret", defaultTLSSecret, "the Secret with the certificate of the ingress")
	return cmd
}

func (m *manifestsCommand) run(ctx context.Context, out, stderr io.Writer) error {
	if !mirror.IsNamespace(m.namespace) {
		return usagef("--in %q is not the name of a namespace", m.namespace)
	}
	values, err := m.values(ctx)
	if err != nil {
		return err
	}
	text, err := helmchart.Render(helmchart.Release{Name: "larder", Namespace: m.namespace, Kubernetes: manifestsFor}, values)
	if err != nil {
		return usagef("the manifests cannot be made: %w", err)
	}
	if _, err := fmt.Fprintf(out, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n%s", m.namespace, text); err != nil {
		return err
	}
	meta, err := helmchart.Describe()
	if err != nil {
		return err
	}
	return m.tellWhatIsLeft(stderr, values, "larder:"+meta.AppVersion)
}

// tellWhatIsLeft says what the printed does not hold.
func (m *manifestsCommand) tellWhatIsLeft(stderr io.Writer, values map[string]any, image string) error {
	notes := &strings.Builder{}
	if valueAt(values, "image", "repository") == nil {
		fmt.Fprintf(notes, "larder: the pods run %s; --image says where the cluster pulls it, as in registry.example.com/larder/larder:latest\n", image)
	}
	if public, ok := values["publicURL"].(string); ok {
		if u, err := url.Parse(public); err == nil {
			notes.WriteString(loopbackNote(u.Host))
		}
	}
	if secret := valueAt(values, "admin", "existingSecret"); secret == adminSecret {
		fmt.Fprintf(notes, "larder: the password of admin is that of Secret %s, key password, if you make it before; else the first start prints one: kubectl logs -n %s deployment/larder\n", adminSecret, m.namespace)
	}
	if secret := valueAt(values, "ingress", "tlsSecret"); secret == defaultTLSSecret && valueAt(values, "ingress", "enabled") == true {
		fmt.Fprintf(notes, "larder: the ingress takes its certificate from Secret %s in namespace %s\n", secret, m.namespace)
	}
	_, err := io.WriteString(stderr, notes.String())
	return err
}

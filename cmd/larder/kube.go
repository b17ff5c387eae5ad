package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/server"
)

func newKubeCommand() *cobra.Command {
	return newVerbCommand("kube", "do", "Have a Kubernetes cluster pull its images through the registry",
		newKubeManifestsCommand(), newKubePolicyCommand(), newKubeWebhookCommand(), newKubeRelayCommand(), newKubeWatchCommand(), newKubeNodesCommand(),
		newKubeOffCommand(), newKubeOnCommand(), newKubeImagesCommand(), newKubeNamespacesCommand(), newKubePodsCommand(),
		newKubeCheckCommand(), newKubeUninstallCommand(), newKubeCredentialProviderCommand())
}

// serverRules asks the server for its rules.
func serverRules(ctx context.Context) (api.Kubernetes, mirror.Rules, mirror.OptOut, error) {
	c, _, err := currentClient()
	if err != nil {
		return api.Kubernetes{}, mirror.Rules{}, mirror.OptOut{}, err
	}
	var k api.Kubernetes
	if err := c.call(ctx, http.MethodGet, "/api/v1/kubernetes", nil, &k); err != nil {
		return api.Kubernetes{}, mirror.Rules{}, mirror.OptOut{}, err
	}
	return k, mirror.Rules{Host: k.Host, Caches: k.Caches},
		mirror.OptOut{Annotations: k.OptOut.Annotations, Namespaces: k.OptOut.Namespaces, Owners: k.OptOut.Owners}, nil
}

// loopbackNote says that a registry is called by a name by which each node finds itself.
func loopbackNote(host string) string {
	if !loopback(&url.URL{Host: host}) {
		return ""
	}
	return fmt.Sprintf("larder: the registry is called %s, by which each node and pod finds itself: set publicURL in its configuration, and print this again\n", host)
}

// policyCommand is what the flags of larder kube policy say.
type policyCommand struct{ namespace, image, url, ca string }

func newKubePolicyCommand() *cobra.Command {
	var p policyCommand
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print a policy by which an API server rewrites the images of pods itself",
		Long: `Print a MutatingAdmissionPolicy, its binding, and the ConfigMap that turns it off, for
kubectl apply. It takes Kubernetes 1.36 or later. Images of pods become those that the
registry caches; nothing of it can be down.

With --image it also prints a watcher: a pod that turns the policy off while the registry
is not ready. Without it pods are made with images that nobody serves then.`,
		Example: "  larder kube policy --image registry.example.com/larder/larder:latest | kubectl apply -f -",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&p.namespace, "in", "larder", "the namespace of the ConfigMap that turns it off, and of the watcher")
	cmd.Flags().StringVar(&p.image, "image", "", "an image of larder, for the watcher")
	cmd.Flags().StringVar(&p.url, "url", "", "where the watcher reaches the registry, instead of its public URL")
	cmd.Flags().StringVar(&p.ca, "ca", "", "a PEM file with the CA that its certificate comes from, if pods do not know it")
	return cmd
}

func (p policyCommand) run(ctx context.Context, out, stderr io.Writer) error {
	if !mirror.IsNamespace(p.namespace) {
		return usagef("--in %q is not the name of a namespace", p.namespace)
	}
	if p.image == "" && (p.url != "" || p.ca != "") {
		return usagef("--url and --ca are for the watcher: name its image, too, with --image")
	}
	_, rules, optOut, err := serverRules(ctx)
	if err != nil {
		return err
	}
	if err := printForm(out, func() (string, error) { return mirror.Policy(rules, optOut, p.namespace) }); err != nil {
		return err
	}
	if _, err := io.WriteString(stderr, loopbackNote(rules.Host)); err != nil {
		return err
	}
	if p.image == "" {
		_, err := fmt.Fprintln(stderr, "larder: without --image there is no watcher: nothing turns the policy off by itself when the registry is gone")
		return err
	}
	pods, err := helpers(ctx, p.namespace, p.image, p.url, p.ca)
	if err != nil {
		return err
	}
	return printForm(out, func() (string, error) {
		text, err := mirror.Watcher(pods)
		return "---\n" + text, err
	})
}

// helpers are pods of this program that reach the registry at a URL, or at its public one.
func helpers(ctx context.Context, namespace, image, address, ca string) (mirror.Pods, error) {
	pods := mirror.Pods{Namespace: namespace, Image: image}
	if address == "" {
		registry, err := currentRegistry(ctx)
		if err != nil {
			return pods, err
		}
		address = registry.URL
	}
	u, err := bareURL("url", address)
	if err != nil {
		return pods, err
	}
	pods.URL = u.String()
	if ca != "" {
		pods.CA, err = readBounded(ca)
	}
	return pods, err
}

func newKubeWebhookCommand() *cobra.Command {
	var address, service, certificate string
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Print the webhook by which an API server has the images of pods rewritten",
		Long: `Print a MutatingWebhookConfiguration for kubectl apply. The server has to listen for it
(kubernetes.listen in its configuration). With a service, the API server reaches it within
the cluster; with a URL, anywhere.

The API server trusts the CA of the server's own certificate. Where cert-manager makes the
certificate, --inject-ca-from has its cainjector write what is trusted.`,
		Example: `  larder kube webhook | kubectl apply -f -
  larder kube webhook --url https://registry.example.com:9443 | kubectl apply -f -
  larder kube webhook --inject-ca-from larder/larder-webhook | kubectl apply -f -`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := endpoint(address, service)
			if err != nil {
				return err
			}
			if _, is := server.ParseSecretName(certificate); certificate != "" && !is {
				return usagef("--inject-ca-from %q is not a Certificate of a cluster: write NAMESPACE/NAME, as in larder/larder-webhook", certificate)
			}
			k, rules, optOut, err := serverRules(cmd.Context())
			if err != nil {
				return err
			}
			if !k.Webhook {
				return fmt.Errorf("the server has no webhook: set kubernetes.listen and publicURL in its configuration, or use larder kube policy, which needs none")
			}
			if at.InjectCAFrom = certificate; certificate == "" {
				at.CA = []byte(k.CA)
			}
			return printForm(cmd.OutOrStdout(), func() (string, error) { return mirror.Webhook(rules, optOut, at) })
		},
	}
	cmd.Flags().StringVar(&address, "url", "", "reach the webhook here, https://HOST:PORT")
	cmd.Flags().StringVar(&service, "service", "larder/larder-webhook:443", "reach the webhook through this service, NAMESPACE/NAME:PORT")
	cmd.Flags().StringVar(&certificate, "inject-ca-from", "", "have cert-manager write the CA of this `NAMESPACE/CERTIFICATE`")
	return cmd
}

// endpoint reads how an API server reaches the webhook.
func endpoint(address, service string) (mirror.Endpoint, error) {
	if address != "" {
		u, bare := parseBareURL(address)
		if !bare || u.Scheme != "https" {
			return mirror.Endpoint{}, usagef("--url %q is not https://HOST:PORT: an API server speaks nothing but https to a webhook", address)
		}
		return mirror.Endpoint{URL: u.String()}, nil
	}
	namespace, rest, slash := strings.Cut(service, "/")
	name, number, colon := strings.Cut(rest, ":")
	port, err := strconv.ParseUint(number, 10, 16)
	if !slash || !colon || err != nil || port == 0 || !mirror.IsNamespace(namespace) || !mirror.IsNamespace(name) {
		return mirror.Endpoint{}, usagef("--service %q is not NAMESPACE/NAME:PORT, as larder/larder-webhook:443 is", service)
	}
	return mirror.Endpoint{Service: mirror.Service{Namespace: namespace, Name: name, Port: int(port)}}, nil
}

func printForm(to io.Writer, form func() (string, error)) error {
	text, err := form()
	if err == nil {
		_, err = io.WriteString(to, text)
	}
	return err
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
)

const (
	// providerAPI is the version of what kubelet and plugin tell each other.
	providerAPI = "credentialprovider.kubelet.k8s.io/v1"
	// maxProviderRequest bounds what kubelet sends, in bytes.
	maxProviderRequest = 1 << 20
)

// providerRequest is what kubelet sends: a CredentialProviderRequest.
type providerRequest struct {
	APIVersion          string `json:"apiVersion"`
	Kind                string `json:"kind"`
	Image               string `json:"image"`
	ServiceAccountToken string `json:"serviceAccountToken"`
}

// providerResponse is the answer: a CredentialProviderResponse.
type providerResponse struct {
	APIVersion    string                  `json:"apiVersion"`
	Kind          string                  `json:"kind"`
	CacheKeyType  string                  `json:"cacheKeyType"`
	CacheDuration string                  `json:"cacheDuration"`
	Auth          map[string]providerAuth `json:"auth"`
}

type providerAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func newKubeCredentialProviderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credential-provider",
		Short: "Answer kubelet as a credential provider plugin: pods pull as their service accounts",
		Long: `Answer a CredentialProviderRequest of kubelet, on standard input, with what the pod pulls
with: the short-lived token of its own service account, which kubelet has made for this
registry alone. Nothing is kept on the node, in the namespace, or in the pod's manifest.

kubelet runs it; what it has to know is printed by larder kube credential-provider config.`,
		Example: "  larder kube credential-provider config --audience registry.example.com > /etc/kubernetes/credential-provider.yaml",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return provideCredential(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.AddCommand(newKubeCredentialProviderConfigCommand())
	return cmd
}

// provideCredential answers one request.
func provideCredential(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(io.LimitReader(in, maxProviderRequest+1))
	if err != nil {
		return fmt.Errorf("reading kubelet's request from standard input: %w", err)
	}
	var request providerRequest
	if err := json.Unmarshal(text, &request); err != nil || len(text) > maxProviderRequest {
		return errors.New("standard input holds no CredentialProviderRequest in JSON: kubelet runs this command, see larder kube credential-provider --help")
	}
	if request.APIVersion != providerAPI || request.Kind != "CredentialProviderRequest" {
		return fmt.Errorf("kubelet asks by %.100s %.100s, and %s CredentialProviderRequest is what this program knows: write that apiVersion into kubelet's CredentialProviderConfig", request.APIVersion, request.Kind, providerAPI)
	}
	named, err := reference.ParseNormalizedNamed(request.Image)
	if err != nil {
		return fmt.Errorf("kubelet asks for the image %.300q: %w", request.Image, err)
	}
	if request.ServiceAccountToken == "" {
		return errors.New("kubelet sends no token of the pod's service account: write tokenAttributes into its CredentialProviderConfig, as larder kube credential-provider config does; it takes Kubernetes 1.34 or later")
	}
	return json.NewEncoder(out).Encode(providerResponse{
		APIVersion: providerAPI, Kind: "CredentialProviderResponse", CacheKeyType: "Registry",
		// The token is that of one pod, and no other pulls with it.
		CacheDuration: "0s",
		// With a token the name is free.
		Auth: map[string]providerAuth{reference.Domain(named): {Username: "unused", Password: request.ServiceAccountToken}},
	})
}

func newKubeCredentialProviderConfigCommand() *cobra.Command {
	var audience, host string
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the CredentialProviderConfig by which kubelet runs the plugin",
		Long: `Print a CredentialProviderConfig for kubelet's --image-credential-provider-config, and as
comments what else it takes. Tokens are made for the audience alone, which has to be among
kubernetes.audiences of the server's configuration.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if host == "" {
				c, _, err := currentClient()
				if err != nil {
					return err
				}
				var k api.Kubernetes
				if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/kubernetes", nil, &k); err != nil {
					return err
				}
				host = k.Host
			}
			if strings.ContainsAny(host+audience, " \t\r\n\"'") {
				return usagef("--registry %q or --audience %q has blanks or quotes in it", host, audience)
			}
			if audience == "" {
				audience = host
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), credentialProviderConfig, strconv.Quote(host), strconv.Quote(audience), host)
			return err
		},
	}
	cmd.Flags().StringVar(&audience, "audience", "", "what the tokens are made for; the registry's host by default")
	cmd.Flags().StringVar(&host, "registry", "", "the registry's host, if the cluster reaches it by another name")
	return cmd
}

// credentialProviderConfig takes the host and the audience as YAML, and the host as text.
const credentialProviderConfig = `# Pods of this node pull from %[3]s as their service accounts. For kubelet:
#
#   --image-credential-provider-bin-dir=/usr/local/lib/kubelet   in which the program larder is
#   --image-credential-provider-config=FILE                      this file
#
# The API server lets nodes make such tokens with this role, bound to the group system:nodes:
#
#   apiVersion: rbac.authorization.k8s.io/v1
#   kind: ClusterRole
#   metadata: {name: larder-node-tokens}
#   rules: [{apiGroups: [""], resources: [%[2]s], verbs: [request-serviceaccounts-token-audience]}]
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: larder
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: [%[1]s]
  defaultCacheDuration: 0s
  args: [kube, credential-provider]
  tokenAttributes:
    serviceAccountTokenAudience: %[2]s
    cacheType: Token
    requireServiceAccount: true
`

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
	"github.com/larder-registry/larder/internal/rewriting"
)

// maxReadiness bounds what is read of an answer of /readyz, in bytes.
const maxReadiness = 4 << 10

// watchCommand is what the flags of larder kube watch say.
type watchCommand struct {
	cluster                  kube.Kubeconfig
	url, ca, namespace       string
	every, offAfter, onAfter time.Duration
}

func newKubeWatchCommand() *cobra.Command {
	var w watchCommand
	cmd := &cobra.Command{
		Use:   "watch --url URL",
		Short: "Turn the policy off while the registry is not ready, and on again afterwards",
		Long: `Ask a registry again and again whether it is ready. After 30 seconds in which it was not,
the policy is turned off by its ConfigMap, so that new pods keep the images that they were
given; when it is ready again the policy is turned on. What somebody else has turned off
stays off. It runs as a pod of its own: larder kube policy --image prints it.`,
		Example: "  larder kube watch --url https://registry.example.com",
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return w.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&w.url, "url", "", "where the registry is reached, as https://HOST")
	cmd.Flags().StringVar(&w.ca, "ca", "", "a PEM file with the CA that its certificate comes from, if this machine does not know it")
	cmd.Flags().StringVar(&w.namespace, "in", "larder", "the namespace of the ConfigMap that turns the policy off")
	cmd.Flags().DurationVar(&w.every, "every", 5*time.Second, "how often it is asked")
	cmd.Flags().DurationVar(&w.offAfter, "off-after", 30*time.Second, "how long it has to be unready before the policy is turned off")
	cmd.Flags().DurationVar(&w.onAfter, "on-after", 10*time.Second, "how long it has to be ready before the policy is turned on")
	addClusterFlags(cmd, &w.cluster)
	return cmd
}

func (w watchCommand) run(ctx context.Context) error {
	if !mirror.IsNamespace(w.namespace) {
		return usagef("--in %q is not the name of a namespace", w.namespace)
	}
	if w.every < time.Second || w.offAfter < w.every || w.onAfter < 0 {
		return usagef("--every is a second or more, --off-after is not shorter than it, and --on-after is not negative")
	}
	if w.url == "" {
		return usagef("say where the registry is reached: --url https://registry.example.com")
	}
	ready, err := readiness(w.url, w.ca)
	if err != nil {
		return err
	}
	cluster, err := openCluster(w.cluster)
	if err != nil {
		return err
	}
	return runUntilSignalled(ctx, func(ctx context.Context, log *slog.Logger) error {
		log.Info("watching", "registry", w.url, "cluster", cluster.From, "namespace", w.namespace)
		rewriting.Watcher{
			Switch: rewriting.Switch{Cluster: cluster, Namespace: w.namespace}, Ready: ready,
			Every: w.every, OffAfter: w.offAfter, OnAfter: w.onAfter, Log: log,
		}.Run(ctx)
		return nil
	})
}

// readiness asks a registry whether it is ready to serve images.
func readiness(address, ca string) (func(context.Context) error, error) {
	u, err := bareURL("url", address)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if ca != "" {
		text, err := readBounded(ca)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(text))
	}
	where := u.String() + "/readyz"
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
		if err != nil {
			return err
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(io.LimitReader(response.Body, maxReadiness))
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s is answered with %s: %.200s", where, response.Status, text)
		}
		return err
	}, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/mirror"
)

// maxCA bounds a file with certificates, in bytes.
const maxCA = 1 << 20

// mirrorsCommand is what the flags of larder mirrors say.
type mirrorsCommand struct {
	client, url, listener, ca, to string
	registries                    map[string]string
	keeping                       bool
}

func newMirrorsCommand() *cobra.Command {
	var m mirrorsCommand
	cmd := &cobra.Command{
		Use:   "mirrors --for CLIENT",
		Short: "Print the files that make nodes and build tools pull through the registry",
		Long: `Print the files by which a client asks this registry first, and the registry that an image
names where this one does not answer. No image and no pod changes.

Clients: ` + strings.Join(mirror.Clients(), ", ") + `.

Without --url it asks the server that you are logged in to which registries it mirrors.
With --url nothing is asked, and the files are for Docker Hub alone, or for the --registry
that are named.

With --keep, for containerd, the files are kept in place until SIGTERM, and are removed
then. Files of others are never touched. larder kube nodes prints a DaemonSet of it.`,
		Example: `  larder mirrors --for containerd
  larder mirrors --for podman --url https://registry.example.com --ca larder-ca.crt --to /
  larder mirrors --for docker --mirror-url https://registry.example.com:5001
  larder mirrors --for containerd --url https://registry.example.com --to / --keep`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&m.client, "for", "", "the client: "+strings.Join(mirror.Clients(), ", "))
	cmd.Flags().StringVar(&m.url, "url", "", "where the registry is reached, as https://HOST")
	cmd.Flags().StringVar(&m.listener, "mirror-url", "", "where its mirror listener is reached, as https://HOST:PORT; for Docker and kaniko")
	cmd.Flags().StringVar(&m.ca, "ca", "", "a PEM file with the CA that its certificate comes from, if nodes do not know it")
	cmd.Flags().StringVar(&m.to, "to", "", "write the files below this folder, / for their own places, instead of printing them")
	cmd.Flags().StringToStringVar(&m.registries, "registry", nil, "with --url, a registry and its cache project, as in quay.io=quay; again and again; naming one replaces docker.io=docker-hub")
	cmd.Flags().BoolVar(&m.keeping, "keep", false, "keep the files in place until SIGTERM, and remove them then; for containerd")
	return cmd
}

func (m mirrorsCommand) run(ctx context.Context, out, stderr io.Writer) error {
	if m.client == "" {
		return usagef("say for which client: --for %s", enumerate(mirror.Clients()))
	}
	nodes, err := m.nodes(ctx)
	if err != nil {
		return err
	}
	files, err := nodes.Files(m.client)
	if err != nil {
		return usagef("--for %s: %v", m.client, err)
	}
	if m.keeping {
		return m.keep(ctx, files)
	}
	if m.to == "" {
		return printFiles(out, stderr, files)
	}
	return writeFiles(out, m.to, files)
}

// nodes are what the flags and the server say.
func (m mirrorsCommand) nodes(ctx context.Context) (mirror.Nodes, error) {
	var nodes mirror.Nodes
	if m.ca != "" {
		ca, err := readBounded(m.ca)
		if err != nil {
			return nodes, err
		}
		nodes.CA = ca
	}
	if m.listener != "" {
		u, err := bareURL("mirror-url", m.listener)
		if err != nil {
			return nodes, err
		}
		nodes.Listener = u.String()
	}
	if m.url != "" {
		u, err := bareURL("url", m.url)
		if err != nil {
			return nodes, err
		}
		nodes.Rules, nodes.Plain = mirror.DockerHub(u.Host), u.Scheme == "http"
		if len(m.registries) > 0 {
			nodes.Caches = m.registries
		}
		return nodes, nil
	}
	if len(m.registries) > 0 {
		return nodes, usagef("--registry goes with --url: without it the server says which registries it mirrors")
	}
	_, rules, _, err := serverRules(ctx)
	if err != nil {
		return nodes, err
	}
	nodes.Rules = rules
	registry, err := currentRegistry(ctx)
	nodes.Plain = strings.HasPrefix(registry.URL, "http://")
	return nodes, err
}

// currentRegistry asks the server how it is reached.
func currentRegistry(ctx context.Context) (api.Registry, error) {
	var registry api.Registry
	c, _, err := currentClient()
	if err != nil {
		return registry, err
	}
	err = c.call(ctx, http.MethodGet, "/api/v1/registry", nil, &registry)
	return registry, err
}

// bareURL accepts where something is reached, and nothing more.
func bareURL(flag, text string) (*url.URL, error) {
	u, bare := parseBareURL(text)
	if !bare {
		return nil, usagef("--%s %q is not where a registry is reached: write it like https://registry.example.com", flag, text)
	}
	return u, nil
}

// parseBareURL reads a URL of http or https that has a host and nothing more.
func parseBareURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, false
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, true
}

func readBounded(name string) (string, error) {
	text, err := readSmall(name, maxCA)
	if err != nil {
		return "", fmt.Errorf("reading the CA: %w", err)
	}
	if !strings.Contains(string(text), "-----BEGIN CERTIFICATE-----") {
		return "", fmt.Errorf("reading the CA: %s is no PEM file with certificates", name)
	}
	return strings.TrimRight(string(text), "\n") + "\n", nil
}

// readSmall reads a file of so many bytes at most.
func readSmall(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return text, err
}

// printFiles says where each belongs: beside a single one, so that it can be redirected.
func printFiles(out, stderr io.Writer, files []mirror.File) error {
	paths := out
	if len(files) == 1 {
		paths = stderr
	}
	for _, f := range files {
		if _, err := fmt.Fprintf(paths, "# %s\n", f.Path); err != nil {
			return err
		}
		if _, err := io.WriteString(out, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles puts each file into its place below a folder.
func writeFiles(out io.Writer, to string, files []mirror.File) error {
	for _, f := range files {
		name := filepath.Join(to, filepath.FromSlash(f.Path))
		if err := writeNew(name, f.Text); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, name); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes no file over another: it may hold more than what is written here.
func writeNew(name, text string) error {
	was, err := os.ReadFile(name)
	switch {
	case err == nil && string(was) == text:
		return nil
	case err == nil:
		return fmt.Errorf("%s is there already and says something else: add to it what larder mirrors prints without --to, or remove it first", name)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // what nodes read is no secret
		return fmt.Errorf("making the folder of %s: %w", name, err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // the same
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

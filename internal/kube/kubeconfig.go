package kube

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigVariable names the files that kubectl reads.
const kubeconfigVariable = "KUBECONFIG"

// Kubeconfig says which cluster a command speaks to, as kubectl's flags of these names do.
type Kubeconfig struct {
	// File is the only file that is read. Empty: those of the variable KUBECONFIG, else
	// .kube/config in the home folder, else the service account of the pod that this is.
	File string
	// Context is the one of the files that is used; empty: their current one.
	Context string
	// PodFolder is where that service account is; empty: where Kubernetes puts it.
	PodFolder string
}

// place is a cluster that was found.
type place struct {
	// from says where it was found, as in "context prod of /home/alice/.kube/config".
	from      string
	namespace string
	config    *rest.Config
}

// find reads the files and asks nothing. The error says which files and which context were
// tried.
func (k Kubeconfig) find() (place, error) {
	files, err := k.files()
	if err != nil {
		return place{}, err
	}
	tried := strings.Join(files, ", ")
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: k.File, Precedence: files}
	kept, err := rules.Load()
	if err != nil {
		return place{}, fmt.Errorf("reading the kubeconfig: %w; name another file with --kubeconfig or the variable %s", err, kubeconfigVariable)
	}
	if len(kept.Contexts) == 0 && k.Context == "" && k.File == "" {
		return k.inPod(tried)
	}
	name := cmp.Or(k.Context, kept.CurrentContext)
	if err := known(kept, name, tried); err != nil {
		return place{}, err
	}
	from := fmt.Sprintf("context %s of %s", name, cmp.Or(kept.Contexts[name].LocationOfOrigin, tried))
	client := clientcmd.NewNonInteractiveClientConfig(*kept, name, &clientcmd.ConfigOverrides{}, rules)
	config, err := client.ClientConfig()
	if err != nil {
		return place{}, fmt.Errorf("reading %s: %w", from, err)
	}
	return place{from: from, namespace: cmp.Or(kept.Contexts[name].Namespace, "default"), config: config}, nil
}

// files are those to read, in the order of their rank.
func (k Kubeconfig) files() ([]string, error) {
	if k.File != "" {
		return []string{k.File}, nil
	}
	named := slices.DeleteFunc(filepath.SplitList(os.Getenv(kubeconfigVariable)), func(name string) bool { return name == "" })
	if len(named) > 0 {
		return named, nil
	}
	home, err := os.UserHomeDir()
	switch {
	case err != nil && isPod():
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("looking for the kubeconfig: %w; name it with --kubeconfig or the variable %s", err, kubeconfigVariable)
	}
	return []string{filepath.Join(home, ".kube", "config")}, nil
}

// known makes sure that the files have the context.
func known(kept *clientcmdapi.Config, name, tried string) error {
	contexts := strings.Join(slices.Sorted(maps.Keys(kept.Contexts)), ", ")
	switch {
	case name == "" && contexts == "":
		return fmt.Errorf("reading the kubeconfig: %s knows no cluster; name another file with --kubeconfig or the variable %s", tried, kubeconfigVariable)
	case name == "":
		return fmt.Errorf("reading the kubeconfig: %s has no current context; name one of %s with --context", tried, contexts)
	case kept.Contexts[name] == nil:
		return fmt.Errorf("reading the kubeconfig: %s has no context %s; name one of %s with --context", tried, name, cmp.Or(contexts, "another file's"))
	}
	return nil
}

// isPod tells whether a cluster has started this program.
func isPod() bool { return os.Getenv("KUBERNETES_SERVICE_HOST") != "" }

// inPod is the cluster that this program runs in.
func (k Kubeconfig) inPod(tried string) (place, error) {
	if !isPod() {
		return place{}, fmt.Errorf("looking for a cluster: %s is not there or names none, and this is no pod; name a kubeconfig with --kubeconfig or the variable %s", tried, kubeconfigVariable)
	}
	config, err := Config{PodFolder: k.PodFolder}.ofPod()
	if err != nil {
		return place{}, fmt.Errorf("looking for a cluster: %s is not there or names none, and %w", cmp.Or(tried, "no file"), err)
	}
	namespace, err := os.ReadFile(filepath.Join(cmp.Or(k.PodFolder, podFolder), "namespace"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return place{}, fmt.Errorf("reading the namespace of this pod: %w", err)
	}
	return place{
		from: "the cluster that this pod runs in", namespace: cmp.Or(strings.TrimSpace(string(namespace)), "default"), config: config,
	}, nil
}

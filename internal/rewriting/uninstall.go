package rewriting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

// installedKinds are the lists in which something of ours can be, in the order in which it is
// removed: first what changes pods, last what the others need.
func installedKinds() []string {
	const rbac, certManager = "/apis/rbac.authorization.k8s.io/v1/", "/apis/cert-manager.io/v1/"
	return []string{
		webhookConfigurations, policyBindings, policies,
		"/apis/apps/v1/daemonsets", "/apis/apps/v1/deployments", "/api/v1/services", "/api/v1/configmaps",
		"/apis/policy/v1/poddisruptionbudgets", "/apis/networking.k8s.io/v1/networkpolicies",
		rbac + "rolebindings", rbac + "roles", rbac + "clusterrolebindings", rbac + "clusterroles", "/api/v1/serviceaccounts",
		certManager + "certificates", certManager + "issuers",
		"/api/v1/secrets", // after what makes them anew
	}
}

// Object is one that was installed.
type Object struct {
	// Name is as in deployments/larder-watcher.
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"`
	// Release is the one of Helm that it belongs to, and that alone should remove it.
	Release string `json:"release,omitempty"`

	path string
}

// Installed are the objects that make images be rewritten, found by their labels, in the
// order in which they can be removed. Larder itself is none of them.
func (i Installation) Installed(ctx context.Context) ([]Object, error) {
	var all []Object
	for _, list := range installedKinds() {
		err := i.cluster.List(ctx, list+"?labelSelector="+mirror.Selector, func(item json.RawMessage) error {
			var read struct{ Metadata metav1.ObjectMeta }
			if err := json.Unmarshal(item, &read); err != nil {
				return err
			}
			all = append(all, object(list, read.Metadata))
			return nil
		})
		if err != nil && !errors.Is(err, kube.ErrNoObject) { // not every cluster knows policies, or cert-manager
			return nil, fmt.Errorf("looking for what is installed: %w", err)
		}
	}
	return all, nil
}

func object(list string, of metav1.ObjectMeta) Object {
	o := Object{Name: path.Base(list) + "/" + of.Name, Namespace: of.Namespace, path: list + "/" + of.Name}
	if of.Namespace != "" {
		o.path = path.Dir(list) + "/namespaces/" + of.Namespace + "/" + o.Name
	}
	if strings.EqualFold(of.Labels["app.kubernetes.io/managed-by"], "Helm") {
		o.Release = of.Annotations["meta.helm.sh/release-name"]
	}
	return o
}

// Remove removes an object; one that has gone is removed.
func (i Installation) Remove(ctx context.Context, o Object) error {
	err := i.cluster.Delete(ctx, o.path)
	if err != nil && !errors.Is(err, kube.ErrNoObject) {
		return fmt.Errorf("removing %s: %w", o.Name, err)
	}
	return nil
}

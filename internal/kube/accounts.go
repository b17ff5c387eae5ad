package kube

import (
	"context"
	"encoding/json"
	"net/url"

	core "k8s.io/api/core/v1"
)

// ServiceAccount is one of a cluster, as it was read.
type ServiceAccount struct {
	Namespace, Name, UID string
	Labels               map[string]string
	// PullSecrets are the names of the secrets with which its pods pull.
	PullSecrets []string
	// Version changes with each change of it.
	Version string
}

// Namespaces are the names of those that a label selector chooses.
func (c *Cluster) Namespaces(ctx context.Context, selector string) (names []string, err error) {
	err = each(ctx, c, core1+"/namespaces"+selected(selector), func(n core.Namespace) {
		if n.DeletionTimestamp == nil {
			names = append(names, n.Name)
		}
	})
	return names, err
}

// ServiceAccounts are those of a namespace, or of all for "", that a label selector chooses;
// all for "".
func (c *Cluster) ServiceAccounts(ctx context.Context, namespace, selector string) (all []ServiceAccount, err error) {
	path := core1 + "/serviceaccounts"
	if namespace != "" {
		path = namespaced(namespace, "serviceaccounts", "")
	}
	err = each(ctx, c, path+selected(selector), func(a core.ServiceAccount) {
		if a.DeletionTimestamp == nil {
			all = append(all, accountOf(a))
		}
	})
	return all, err
}

func accountOf(a core.ServiceAccount) ServiceAccount {
	account := ServiceAccount{Namespace: a.Namespace, Name: a.Name, UID: string(a.UID), Labels: a.Labels, Version: a.ResourceVersion}
	for _, s := range a.ImagePullSecrets {
		account.PullSecrets = append(account.PullSecrets, s.Name)
	}
	return account
}

// SetPullSecrets has the pods of a service account pull with the secrets that are named, and
// sets a label of it; the label is taken away where its value is "". The error is ErrChanged
// when somebody else has changed the account since it was read.
func (c *Cluster) SetPullSecrets(ctx context.Context, a ServiceAccount, names []string, label, value string) (ServiceAccount, error) {
	secrets := []core.LocalObjectReference{}
	for _, name := range names {
		secrets = append(secrets, core.LocalObjectReference{Name: name})
	}
	labels := map[string]any{label: nil}
	if value != "" {
		labels[label] = value
	}
	var changed core.ServiceAccount
	err := c.Merge(ctx, namespaced(a.Namespace, "serviceaccounts", a.Name), map[string]any{
		// The version makes it a change of what was read: the list is replaced as a whole.
		"metadata":         map[string]any{"resourceVersion": a.Version, "labels": labels},
		"imagePullSecrets": secrets,
	}, &changed)
	return accountOf(changed), err
}

// core1 is the path of the objects that Kubernetes has had from the beginning.
const core1 = "/api/v1"

// namespaced is the path of a list in a namespace, or of the object of a name in it.
func namespaced(namespace, resource, name string) string {
	path := core1 + "/namespaces/" + url.PathEscape(namespace) + "/" + resource
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// selected is the query for the objects that a label selector chooses.
func selected(selector string) string {
	if selector == "" {
		return ""
	}
	return "?labelSelector=" + url.QueryEscape(selector)
}

// each reads the items of a list.
func each[T any](ctx context.Context, c *Cluster, path string, take func(T)) error {
	return c.List(ctx, path, func(item json.RawMessage) error {
		var read T
		if err := json.Unmarshal(item, &read); err != nil {
			return err
		}
		take(read)
		return nil
	})
}

package rewriting

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

// Cluster is what this package asks of one; paths are those of its API server.
type Cluster interface {
	Get(ctx context.Context, path string, into any) error
	List(ctx context.Context, path string, each func(item json.RawMessage) error) error
	Create(ctx context.Context, path string, object, into any) error
	Merge(ctx context.Context, path string, patch, into any) error
	Delete(ctx context.Context, path string) error
}

// Switch is the ConfigMap by which the policy is turned off and on.
type Switch struct {
	// Cluster is the one that has it.
	Cluster Cluster
	// Namespace is the ConfigMap's.
	Namespace string
}

func (s Switch) path() string {
	return "/api/v1/namespaces/" + s.Namespace + "/configmaps/" + mirror.SwitchName
}

// Turn has it say one thing where it said another, and tells whether it did. The error is
// kube.ErrNoObject where there is none, and kube.ErrChanged when somebody has changed it
// meanwhile.
func (s Switch) Turn(ctx context.Context, from, to string) (bool, error) {
	var read corev1.ConfigMap
	if err := s.Cluster.Get(ctx, s.path(), &read); err != nil {
		return false, fmt.Errorf("reading whether the policy is on: %w", err)
	}
	if read.Data[mirror.SwitchKey] != from {
		return false, nil
	}
	patch := map[string]any{
		"metadata": map[string]string{"resourceVersion": read.ResourceVersion},
		"data":     map[string]string{mirror.SwitchKey: to},
	}
	if err := s.Cluster.Merge(ctx, s.path(), patch, nil); err != nil {
		return false, fmt.Errorf("turning the policy from %s to %s: %w", from, to, err)
	}
	return true, nil
}

// Set has it say something, whatever it said, and returns what that was. Where there is no
// ConfigMap, which the policy takes for On, one is made.
func (s Switch) Set(ctx context.Context, to string) (was string, err error) {
	var read corev1.ConfigMap
	err = s.Cluster.Get(ctx, s.path(), &read)
	data := map[string]string{mirror.SwitchKey: to}
	switch was = cmp.Or(read.Data[mirror.SwitchKey], mirror.On); {
	case errors.Is(err, kube.ErrNoObject):
		err = s.Cluster.Create(ctx, "/api/v1/namespaces/"+s.Namespace+"/configmaps", corev1.ConfigMap{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
			ObjectMeta: metav1.ObjectMeta{Name: mirror.SwitchName, Labels: mirror.Labels()}, Data: data,
		}, nil)
	case err == nil && was != to:
		err = s.Cluster.Merge(ctx, s.path(), map[string]any{"data": data}, nil)
	}
	if err != nil {
		return was, fmt.Errorf("turning the policy to %s: %w", to, err)
	}
	return was, nil
}

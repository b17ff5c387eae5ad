package rewriting

import (
	"context"
	"fmt"
	"slices"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/mirror"
)

// nowhere fits no namespace: the API server gives each this label, and lets nobody remove
// it. A webhook that asks for its absence is asked about no pod, and everything else of its
// configuration stays, so that it can be turned on without Larder.
func nowhere() metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpDoesNotExist}
}

func isNowhere(r metav1.LabelSelectorRequirement) bool {
	return r.Key == nowhere().Key && r.Operator == nowhere().Operator
}

// turnWebhook turns the webhook of a configuration on or off, and returns what it was, On or
// Off.
func turnWebhook(ctx context.Context, cluster Cluster, name string, on bool) (was string, err error) {
	path := webhookConfigurations + "/" + name
	var read admissionregistration.MutatingWebhookConfiguration
	if err := cluster.Get(ctx, path, &read); err != nil {
		return "", fmt.Errorf("reading the webhook: %w", err)
	}
	was, changed := mirror.On, false
	for i := range read.Webhooks {
		webhook := &read.Webhooks[i]
		if webhook.Name != mirror.WebhookName {
			continue
		}
		if webhook.NamespaceSelector == nil {
			webhook.NamespaceSelector = &metav1.LabelSelector{}
		}
		fits := &webhook.NamespaceSelector.MatchExpressions
		off := slices.ContainsFunc(*fits, isNowhere)
		if off {
			was = mirror.Off
		}
		switch {
		case on && off:
			*fits, changed = slices.DeleteFunc(*fits, isNowhere), true
		case !on && !off:
			*fits, changed = append(*fits, nowhere()), true
		}
	}
	if !changed {
		return was, nil
	}
	patch := map[string]any{"metadata": map[string]string{"resourceVersion": read.ResourceVersion}, "webhooks": read.Webhooks}
	if err := cluster.Merge(ctx, path, patch, nil); err != nil {
		return was, fmt.Errorf("turning the webhook: %w", err)
	}
	return was, nil
}

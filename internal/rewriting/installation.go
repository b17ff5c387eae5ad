package rewriting

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/mirror"
)

const (
	webhookConfigurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
	policies              = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
	policyBindings        = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings"
)

// Installation is what makes a cluster rewrite images.
type Installation struct {
	// Rules and OptOut are those that it follows; Rules.Host is empty where nothing says
	// them.
	Rules  mirror.Rules
	OptOut mirror.OptOut
	// Webhooks are the names of the webhooks' configurations.
	Webhooks []string
	// Switches are the ConfigMaps of the policies.
	Switches []Switch

	issued  []issued
	cluster Cluster
}

// Of is an installation by the rules of a server, whatever is installed.
func Of(cluster Cluster, rules mirror.Rules, optOut mirror.OptOut) Installation {
	return Installation{Rules: rules, OptOut: optOut, cluster: cluster}
}

// Look finds out what is installed, whatever installed it.
func Look(ctx context.Context, cluster Cluster) (Installation, error) {
	i := Installation{cluster: cluster}
	if err := i.lookForWebhooks(ctx); err != nil {
		return i, err
	}
	err := i.lookForPolicies(ctx)
	if errors.Is(err, kube.ErrNoObject) { // before Kubernetes 1.36 there are none
		err = nil
	}
	return i, err
}

func (i *Installation) lookForWebhooks(ctx context.Context) error {
	err := i.cluster.List(ctx, webhookConfigurations, func(item json.RawMessage) error {
		var read admissionregistration.MutatingWebhookConfiguration
		if err := json.Unmarshal(item, &read); err != nil {
			return err
		}
		ours := func(w admissionregistration.MutatingWebhook) bool { return w.Name == mirror.WebhookName }
		if slices.ContainsFunc(read.Webhooks, ours) {
			i.Webhooks = append(i.Webhooks, read.Name)
			i.note(read.ObjectMeta)
			i.noteIssued(read)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for webhooks: %w", err)
	}
	return nil
}

func (i *Installation) lookForPolicies(ctx context.Context) error {
	var ours []string
	err := i.cluster.List(ctx, policies, func(item json.RawMessage) error {
		var read struct{ Metadata metav1.ObjectMeta }
		if err := json.Unmarshal(item, &read); err != nil {
			return err
		}
		if read.Metadata.Name == "larder" || read.Metadata.Annotations[mirror.NoteKey] != "" {
			ours = append(ours, read.Metadata.Name)
			i.note(read.Metadata)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for policies: %w", err)
	}
	return i.cluster.List(ctx, policyBindings, func(item json.RawMessage) error {
		var read admissionregistration.MutatingAdmissionPolicyBinding
		if err := json.Unmarshal(item, &read); err != nil {
			return err
		}
		if p := read.Spec.ParamRef; slices.Contains(ours, read.Spec.PolicyName) && p != nil && p.Name == mirror.SwitchName {
			i.Switches = append(i.Switches, Switch{Cluster: i.cluster, Namespace: p.Namespace})
		}
		return nil
	})
}

// note learns the rules from what somebody has installed; what it cannot read is as if it
// were not there.
func (i *Installation) note(of metav1.ObjectMeta) {
	rules, optOut, err := mirror.ReadNote(of.Annotations[mirror.NoteKey])
	if err == nil && i.Rules.Host == "" {
		i.Rules, i.OptOut = rules, optOut
	}
}

// Turned is one part of an installation and what it says now.
type Turned struct {
	// What is it, as kubectl names it.
	What string `json:"what"`
	// Was and Is are what it says: on, off or unready.
	Was string `json:"was"`
	Is  string `json:"is"`
}

// Turn has all parts rewrite images, or none. What has been turned is returned with the
// error, too.
func (i Installation) Turn(ctx context.Context, on bool) ([]Turned, error) {
	var turned []Turned
	say := map[string]string{mirror.On: "on", mirror.Off: "off", mirror.Unready: "unready"}
	to := map[bool]string{true: mirror.On, false: mirror.Off}[on]
	for _, s := range i.Switches {
		was, err := s.Set(ctx, to)
		if err != nil {
			return turned, err
		}
		word := say[was]
		if word == "" {
			word = "off"
		}
		turned = append(turned, Turned{"policy, by configmap/" + mirror.SwitchName + " in namespace " + s.Namespace, word, say[to]})
	}
	for _, name := range i.Webhooks {
		was, err := turnWebhook(ctx, i.cluster, name, on)
		if err != nil {
			return turned, err
		}
		turned = append(turned, Turned{"mutatingwebhookconfiguration/" + name, say[was], say[to]})
	}
	return turned, nil
}

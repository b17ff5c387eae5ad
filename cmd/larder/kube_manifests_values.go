package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/larder-registry/larder/internal/helmchart"
)

// values are the chart's: what suits somebody without Helm, over it what the file says, and
// over that what the flags say.
func (m *manifestsCommand) values(ctx context.Context) (map[string]any, error) {
	values := map[string]any{
		"admin":   map[string]any{"existingSecret": adminSecret, "required": false},
		"ingress": map[string]any{"enabled": true},
	}
	if m.valuesFile != "" {
		text, err := readSmall(m.valuesFile, maxValues)
		if err != nil {
			return nil, fmt.Errorf("reading the values: %w", err)
		}
		given, err := helmchart.ParseValues(text)
		if err != nil {
			return nil, usagef("--values %s: %w", m.valuesFile, err)
		}
		values = helmchart.Merge(values, given)
	}
	flags, err := m.flagValues()
	if err != nil {
		return nil, err
	}
	return m.named(ctx, helmchart.Merge(values, flags))
}

// flagValues are those that flags say.
func (m *manifestsCommand) flagValues() (map[string]any, error) {
	values := map[string]any{}
	put := func(group, key string, value any) {
		values = helmchart.Merge(values, map[string]any{group: map[string]any{key: value}})
	}
	for group, enabled := range map[string]bool{"webhook": m.webhook, "policy": m.policy, "nodes": m.nodes, "ingress": m.ingress} {
		if m.given(group) {
			put(group, "enabled", enabled)
		}
	}
	if m.given("ingress-class") {
		put("ingress", "className", m.ingressClass)
	}
	if m.given("tls-secret") {
		put("ingress", "tlsSecret", m.tlsSecret)
	}
	if m.ca != "" {
		ca, err := readBounded(m.ca)
		if err != nil {
			return nil, err
		}
		put("tls", "ca", ca)
	}
	if m.image != "" {
		named, err := reference.Parse(m.image)
		image, isNamed := named.(reference.Named)
		if err != nil || !isNamed {
			return nil, usagef("--image %q is no image: write it like registry.example.com/larder/larder:latest", m.image)
		}
		put("image", "repository", image.Name())
		put("image", "tag", "latest")
		if tagged, is := named.(reference.Tagged); is {
			put("image", "tag", tagged.Tag())
		}
		if digested, is := named.(reference.Digested); is {
			put("image", "digest", digested.Digest().String())
		}
	}
	return values, nil
}

// named are values that say what the registry is called.
func (m *manifestsCommand) named(ctx context.Context, values map[string]any) (map[string]any, error) {
	address, _ := values["publicURL"].(string)
	switch {
	case m.publicURL != "":
		u, err := bareURL("public-url", m.publicURL)
		if err != nil {
			return nil, err
		}
		address = u.String()
	case address == "":
		registry, err := currentRegistry(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking what the registry is called: %w; or say it: --public-url https://registry.example.com", err)
		}
		address = registry.URL
	}
	values = helmchart.Merge(values, map[string]any{"publicURL": address})
	if valueAt(values, "ingress", "tlsSecret") == nil && strings.HasPrefix(address, "https:") {
		values = helmchart.Merge(values, map[string]any{"ingress": map[string]any{"tlsSecret": defaultTLSSecret}})
	}
	return values, nil
}

// valueAt is the value of a key in a group; nil where there is none.
func valueAt(values map[string]any, group, key string) any {
	of, _ := values[group].(map[string]any)
	return of[key]
}

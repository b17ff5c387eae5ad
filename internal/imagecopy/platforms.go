package imagecopy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/oci"
)

// attestationOf is BuildKit's annotation of an index's entry that attests another one.
const attestationOf = "vnd.docker.reference.digest"

// maxConfig bounds the config of an image whose platform is asked for, in bytes.
const maxConfig = 8 << 20

// ParsePlatforms reads OS/ARCHITECTURE[/VARIANT], each platform once.
func ParsePlatforms(texts []string) ([]v1.Platform, error) {
	var all []v1.Platform
	for _, text := range texts {
		p, err := v1.ParsePlatform(text)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return nil, fmt.Errorf("platform %q is not valid: write it like linux/amd64 or linux/arm/v7", text)
		}
		if !slices.ContainsFunc(all, p.Equals) {
			all = append(all, *p)
		}
	}
	return all, nil
}

// choosePlatforms makes an index of some platforms of another: all other fields are
// kept. The manifest of a single image is left as it is, if it is for one of them.
func choosePlatforms(ctx context.Context, from source, top oci.Manifest, wanted []v1.Platform) (oci.Manifest, error) {
	content, err := oci.ParseManifest(top.MediaType, top.Content)
	if err != nil {
		return oci.Manifest{}, fmt.Errorf("reading manifest %s: %w", top.Digest, err)
	}
	if !content.Index() {
		return top, singlePlatform(ctx, from, content, wanted)
	}
	raw, err := chooseEntries(top.Content, wanted)
	if err != nil || raw == nil {
		return top, err
	}
	return oci.Manifest{MediaType: content.MediaType, Digest: digest.FromBytes(raw), Content: raw}, nil
}

// chooseEntries returns nil when all entries are wanted.
func chooseEntries(index []byte, wanted []v1.Platform) ([]byte, error) {
	var fields map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(index, &fields); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	if err := json.Unmarshal(fields["manifests"], &entries); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	described := make([]v1.Descriptor, len(entries))
	kept, found := map[string]bool{}, make([]bool, len(wanted))
	var offered []string
	for i, entry := range entries {
		if err := json.Unmarshal(entry, &described[i]); err != nil {
			return nil, fmt.Errorf("reading the index: %w", err)
		}
		platform := described[i].Platform
		if platform == nil {
			continue
		}
		offered = append(offered, platform.String())
		for w, want := range wanted {
			if platform.Satisfies(want) {
				kept[described[i].Digest.String()], found[w] = true, true
			}
		}
	}
	if missing := slices.Index(found, false); missing >= 0 {
		return nil, fmt.Errorf("the image has no platform %s; it has %s", wanted[missing], strings.Join(offered, ", "))
	}
	chosen := entries[:0:0]
	for i, d := range described {
		if kept[d.Digest.String()] || kept[d.Annotations[attestationOf]] {
			chosen = append(chosen, entries[i])
		}
	}
	if len(chosen) == len(entries) {
		return nil, nil
	}
	var err error
	if fields["manifests"], err = json.Marshal(chosen); err != nil {
		return nil, fmt.Errorf("writing the index: %w", err)
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("writing the index: %w", err)
	}
	return raw, nil
}

// singlePlatform compares the platform of an image without an index.
func singlePlatform(ctx context.Context, from source, content oci.Content, wanted []v1.Platform) error {
	if content.Config == nil {
		return fmt.Errorf("what is copied is no image, so that it has no platform: leave out --platform")
	}
	body, err := from.blob(ctx, content.Config.Digest)
	if err != nil {
		return fmt.Errorf("reading the platform of the image: %w", err)
	}
	defer func() { _ = body.Close() }()
	var platform v1.Platform
	if err := json.NewDecoder(io.LimitReader(body, maxConfig)).Decode(&platform); err != nil {
		return fmt.Errorf("reading the platform of the image: %w", err)
	}
	if !slices.ContainsFunc(wanted, platform.Satisfies) {
		return fmt.Errorf("the image is for the platform %s alone", platform)
	}
	return nil
}

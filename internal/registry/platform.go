package registry

import (
	"context"
	"encoding/json"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/oci"
)

const (
	// maxConfig bounds the configuration of an image that is read for its platform, in bytes.
	maxConfig = 1 << 20
	// maxKnownPlatforms bounds how many images' platforms are kept in memory.
	maxKnownPlatforms = 10_000
	// maxPlatformText bounds what is told of one platform, in bytes.
	maxPlatformText = 64
	// maxPlatforms bounds how many platforms are told of one tag.
	maxPlatforms = 100
)

// platform reads for which platform a single image is; "" where its configuration does
// not say, or is not here.
func (r *Registry) platform(ctx context.Context, repo oci.Repository, content oci.Content) string {
	if content.Config == nil || content.Config.Size > maxConfig || !isImageConfig(content.Config.MediaType) {
		return ""
	}
	key := content.Config.Digest
	if text, ok := r.platforms.GetIfPresent(key); ok {
		return text
	}
	text, err := r.readPlatform(ctx, repo, key)
	if err != nil {
		return ""
	}
	r.platforms.Set(key, text)
	return text
}

func (r *Registry) readPlatform(ctx context.Context, repo oci.Repository, d digest.Digest) (string, error) {
	row, err := r.blobRow(ctx, repo, d)
	if err != nil {
		return "", err
	}
	opened, err := r.openSound(ctx, row)
	if err != nil {
		return "", err
	}
	defer func() { _ = opened.Close() }()
	text, err := io.ReadAll(io.LimitReader(opened, maxConfig))
	if err != nil {
		return "", err
	}
	var config v1.Platform
	if err := json.Unmarshal(text, &config); err != nil || config.OS == "" {
		return "", nil //nolint:nilerr // it does not say
	}
	return platformText(config.OS, config.Architecture, config.Variant), nil
}

func isImageConfig(mediaType string) bool {
	return mediaType == v1.MediaTypeImageConfig || mediaType == "application/vnd.docker.container.image.v1+json"
}

func platformText(os, architecture, variant string) string {
	text := os + "/" + architecture
	if variant != "" {
		text += "/" + variant
	}
	return text[:min(len(text), maxPlatformText)]
}

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// compile builds the program for a platform, as make build does.
func (o options) compile(ctx context.Context, platform v1.Platform, program string) error {
	flags := fmt.Sprintf("-s -w -X main.version=%s -X main.commit=%s", o.version, o.commit)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", program,
		"github.com/larder-registry/larder/cmd/larder")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	if platform.Architecture == "arm" {
		build.Env = append(build.Env, "GOARM="+strings.TrimPrefix(platform.Variant, "v"))
	}
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building larder for %s: %w", platform, err)
	}
	return nil
}

// Command image builds Larder's container image for several platforms, without a container
// engine: an OCI archive that larder copy, skopeo and podman read. The same commit makes
// the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	var platforms string
	var seconds int64
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&o.archive, "o", "dist/larder.tar", "the `FILE` to write")
	flags.StringVar(&o.version, "version", "0.1.0-dev", "of the program; the image's tag")
	flags.StringVar(&o.commit, "commit", "unknown", "that it is built from")
	flags.Int64Var(&seconds, "time", 0, "of the commit, in seconds since 1970")
	flags.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "to build for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.created = time.Unix(seconds, 0).UTC()
	for text := range strings.SplitSeq(platforms, ",") {
		platform, err := v1.ParsePlatform(text)
		if err != nil || platform.OS == "" || platform.Architecture == "" {
			return fmt.Errorf("%q is no platform: write one like linux/amd64", text)
		}
		o.platforms = append(o.platforms, *platform)
	}
	return o.build(ctx)
}

// options say what is built.
type options struct {
	archive         string
	version, commit string
	created         time.Time
	platforms       []v1.Platform
}

func (o options) build(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "larder-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	index, err := o.index(func(platform v1.Platform) (string, error) {
		program := filepath.Join(folder, "larder-"+platform.Architecture+platform.Variant)
		return program, o.compile(ctx, platform, program)
	})
	if err != nil {
		return err
	}
	if err := writeArchive(o.archive, filepath.Join(folder, "layout"), o.version, index); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%s: %s, %s\n", o.archive, o.version, digest)
	return err
}

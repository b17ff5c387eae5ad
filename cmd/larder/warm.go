package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/larder-registry/larder/internal/api"
)

// maxParallel bounds the images that are fetched at once.
const maxParallel = 16

// warming is the images of one command line and what came of them.
type warming struct {
	request  api.WarmRequest // but for the image
	out      io.Writer
	errs     io.Writer
	bar      *bar
	mu       sync.Mutex
	total    api.Warmed
	ok, lost int
}

func newWarmCommand() *cobra.Command {
	var from imageSources
	w := &warming{}
	parallel := 3
	cmd := &cobra.Command{
		Use:   "warm [IMAGE...]",
		Short: "Fetch images before anybody pulls them",
		Long: `Have the registry fetch images that it does not have, before anybody pulls them: those that
are named, those of a list (one on each line, # begins a comment), those of the pods in
Kubernetes manifests, or those of the pods that run in a cluster. Nothing passes through this machine.

With --dry-run it is only told what that would cost: PULLS are the manifests that the
upstream counts. What comes with a manifest that is not here is not known before it is
fetched.`,
		Example: `  larder warm nginx:1.27 docker-hub/library/redis:7
  larder warm -f images.txt --platform linux/amd64 --platform linux/arm64
  larder warm --from-manifest deploy.yaml --dry-run
  larder warm --from-cluster --context prod`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if parallel < 1 || parallel > maxParallel {
				return usagef("--parallel is from 1 to %d", maxParallel)
			}
			images, err := from.images(cmd, args)
			if err != nil {
				return err
			}
			return w.run(cmd, images, parallel)
		},
	}
	from.addFlags(cmd)
	cmd.Flags().StringArrayVar(&w.request.Platforms, "platform", nil, "fetch these, or all; linux/amd64 unless it is given (again and again)")
	cmd.Flags().BoolVar(&w.request.DryRun, "dry-run", false, "only tell what it would cost")
	cmd.Flags().IntVar(&parallel, "parallel", parallel, "fetch this many images at once")
	return cmd
}

func (w *warming) run(cmd *cobra.Command, images []string, parallel int) error {
	c, _, err := currentClient()
	if err != nil {
		return err
	}
	progress := newProgress(cmd.ErrOrStderr())
	title := "fetching images"
	if w.request.DryRun {
		title = "looking at images"
	}
	w.bar = progress.bar(title, len(images))
	w.out, w.errs = progress.above(cmd.OutOrStdout()), progress.above(cmd.ErrOrStderr())
	group, ctx := errgroup.WithContext(cmd.Context())
	group.SetLimit(parallel)
	for _, image := range images {
		group.Go(func() error { return w.one(ctx, c, image) })
	}
	err = group.Wait()
	progress.wait()
	if err != nil {
		return err
	}
	return w.end(cmd)
}

// one has an image fetched. What is wrong with it stops no other.
func (w *warming) one(ctx context.Context, c *client, image string) error {
	defer w.bar.increment()
	request := w.request
	request.Image = image
	var done *api.Warmed
	err := c.lines(ctx, "/api/v1/warm", request, func(text []byte) error {
		var line api.WarmLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", c.server, err)
		}
		if line.Error != "" {
			return errors.New(line.Error)
		}
		if line.Warmed != nil {
			done = line.Warmed
		}
		return nil
	})
	if err == nil && done == nil {
		err = fmt.Errorf("the answer of %s broke off: run the command again, it goes on where it was", c.server)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.lost++
		_, err = fmt.Fprintf(w.errs, "%s: %s\n", image, printable(err.Error()))
		return err
	}
	w.ok++
	w.total.Pulls += done.Pulls
	w.total.Blobs += done.Blobs
	w.total.Bytes += done.Bytes
	w.total.Unknown += done.Unknown
	_, err = fmt.Fprintf(w.out, "%s: %s\n", done.Image, w.cost(*done))
	return err
}

// cost is what images have cost, or would, in words.
func (w *warming) cost(done api.Warmed) string {
	if done.Pulls == 0 && done.Blobs == 0 {
		return "is here"
	}
	text := fmt.Sprintf("%s, %s, %s", counted(done.Pulls, "pull"), counted(done.Blobs, "blob"), bytesText(done.Bytes))
	if done.Unknown > 0 {
		text += fmt.Sprintf(", and what comes with %s", counted(done.Unknown, "manifest"))
	}
	return text
}

// sum is what all images together have cost, or would.
func (w *warming) sum() string {
	images := counted(w.ok, "image")
	switch {
	case w.total.Pulls == 0 && w.total.Blobs == 0:
		return "nothing to fetch for " + images
	case w.request.DryRun:
		return images + " would be fetched: " + w.cost(w.total)
	}
	return images + " fetched: " + w.cost(w.total)
}

func (w *warming) end(cmd *cobra.Command) error {
	if w.ok > 0 {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), w.sum()); err != nil {
			return err
		}
	}
	if w.lost > 0 {
		return fmt.Errorf("%s failed", counted(w.lost, "image"))
	}
	return nil
}

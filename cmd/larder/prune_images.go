package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/api"
	"github.com/larder-registry/larder/internal/gc"
)

func newPruneImagesCommand() *cobra.Command {
	var (
		keep    time.Duration
		confirm bool
	)
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List the blobs that no image needs any more, or remove them",
		Long: `List the blobs that no image needs any more, with what they take, or remove them:

  link    a blob that a repository has, and that none of its manifests names
  blob    a blob that no repository has
  orphan  bytes in storage that belong to no blob

A blob that a client was told of, or that was stored, within the last day is kept.
The server does the same by itself once a day.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keep < 0 {
				return usagef("--keep-younger-than is %s: it cannot be negative", keep)
			}
			c, _, err := currentClient()
			if err != nil {
				return err
			}
			request := api.PruneRequest{Confirm: confirm, KeepYoungerThanSeconds: int64(keep.Round(time.Second).Seconds())}
			p := pruning{out: cmd.OutOrStdout()}
			err = c.lines(cmd.Context(), "/api/v1/prune", request, p.line)
			if err != nil {
				return err
			}
			return p.end()
		},
	}
	cmd.Flags().DurationVar(&keep, "keep-younger-than", gc.Grace, "keep what is younger than this; less than a day means a day")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "remove what is listed")
	return cmd
}

// pruning prints what a server finds while it finds it.
type pruning struct {
	out     io.Writer
	headed  bool
	summary *api.PruneSummary
}

func (p *pruning) line(text []byte) error {
	var line api.PruneLine
	if err := json.Unmarshal(text, &line); err != nil {
		return fmt.Errorf("reading a line of the answer: %w", err)
	}
	switch {
	case line.Error != "":
		return errors.New(line.Error)
	case line.Summary != nil:
		p.summary = line.Summary
	case line.Item != nil:
		return p.item(line.Item)
	}
	return nil
}

func (p *pruning) item(i *api.PruneItem) error {
	if !p.headed {
		p.headed = true
		if err := p.row("KIND", "SIZE", "NAME"); err != nil {
			return err
		}
	}
	size, name := bytesText(i.Size), i.Key
	switch {
	case i.Repository != "":
		size, name = "-", i.Repository+"@"+i.Digest.String()
	case i.Digest != "":
		name = i.Digest.String()
	}
	return p.row(i.Kind, size, name)
}

func (p *pruning) row(kind, size, name string) error {
	_, err := fmt.Fprintf(p.out, "%-8s%-12s%s\n", printable(kind), size, printable(name))
	return err
}

func (p *pruning) end() error {
	s := p.summary
	if s == nil {
		return errors.New("the answer broke off: what is listed may not be all of it; run the command again")
	}
	found := fmt.Sprintf("%s, %s and %s", counted(s.Links, "link"), counted(s.Blobs, "blob"), counted(s.Orphans, "orphan"))
	var err error
	switch {
	case s.Links+s.Blobs+s.Orphans == 0:
		_, err = fmt.Fprintln(p.out, "There is nothing to remove.")
	case s.Removed:
		_, err = fmt.Fprintf(p.out, "Removed %s: %s are free.\n", found, bytesText(s.Bytes))
	default:
		_, err = fmt.Fprintf(p.out, "Dry run: nothing was removed. Add --confirm to remove %s, which frees %s.\n", found, bytesText(s.Bytes))
	}
	return err
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

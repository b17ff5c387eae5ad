package main

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/larder-registry/larder/internal/imagecopy"
)

func (o copyOptions) copyAll(cmd *cobra.Command, copier *imagecopy.Copier, args []string) error {
	names, err := o.listedRepositories(cmd.InOrStdin())
	if err != nil {
		return err
	}
	last := len(args) - 1
	moving := imagecopy.Moving{From: args[:last], To: args[last], Repositories: names}
	moves, err := copier.Moves(cmd.Context(), o.Naming, moving)
	if err != nil {
		return err
	}
	shown := newProgress(cmd.ErrOrStderr())
	m := move{copyOptions: o, out: shown.above(cmd.OutOrStdout())}
	err = copier.CopyAll(cmd.Context(), moves, shown.quietMeter, m.tell)
	shown.wait()
	m.out = cmd.OutOrStdout()
	if err != nil {
		return fmt.Errorf("the copy was broken off: %w; run it again, it goes on where it was", err)
	}
	return m.end(len(moves))
}

// move tells of the tags of a whole move.
type move struct {
	copyOptions
	mu                     sync.Mutex
	out                    io.Writer
	copied, there, changed int
	bytes                  int64
	failed                 []imagecopy.Outcome
}

func (m *move) tell(o imagecopy.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.Err != nil {
		m.failed = append(m.failed, o)
		_, _ = fmt.Fprintf(m.out, "failed: %s\n", o.From)
		return
	}
	if o.Result.Changed() || o.Result.Manifests > 0 {
		m.copied++
		m.bytes += o.Result.Bytes
	} else {
		m.there++
	}
	if o.Result.Was != "" {
		m.changed++
	}
	_, _ = fmt.Fprintln(m.out, m.told(o.From, o.To, o.Result))
}

// end sums up, and fails if anything did.
func (m *move) end(repositories int) error {
	in := counted(repositories, "repository")
	if repositories != 1 {
		in = fmt.Sprintf("%d repositories", repositories)
	}
	var err error
	if m.DryRun {
		_, err = fmt.Fprintf(m.out, "Dry run: nothing was copied. %s of %s would be, %d are there already.\n", counted(m.copied, "tag"), in, m.there)
	} else {
		_, err = fmt.Fprintf(m.out, "Copied %s of %s, %s of blobs; %d were there already.\n", counted(m.copied, "tag"), in, bytesText(m.bytes), m.there)
	}
	if m.changed > 0 {
		_, _ = fmt.Fprintf(m.out, "With some of their platforms, %s have another digest than before.\n", counted(m.changed, "tag"))
	}
	if err != nil || len(m.failed) == 0 {
		return err
	}
	_, _ = fmt.Fprintf(m.out, "\n%d failed:\n", len(m.failed))
	for _, f := range m.failed {
		_, _ = fmt.Fprintf(m.out, "  %s\n    %s\n", f.From, printableLines(f.Err.Error()))
	}
	if len(m.failed) == 1 {
		return errors.New("1 image was not copied: run the same command again once its cause is mended; what is there is skipped")
	}
	return fmt.Errorf("%d images were not copied: run the same command again once their causes are mended; what is there is skipped", len(m.failed))
}

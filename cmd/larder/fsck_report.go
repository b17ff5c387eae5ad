package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/registry"
)

// fsckLineEvery is how often progress is told where there is no terminal.
const fsckLineEvery = 10 * time.Second

// fsckReport prints what a check finds, and how far it is.
type fsckReport struct {
	out      io.Writer
	progress *progress
	bar      *bar
	told     time.Time
	last     registry.FsckProgress
	findings int // that were not repaired
	repaired int
}

func newFsckReport(out, progress io.Writer) *fsckReport {
	return &fsckReport{out: out, progress: newProgress(progress), told: time.Now()}
}

func (r *fsckReport) tell(e registry.FsckEvent) error {
	r.last = e.Progress
	if e.Finding != nil {
		if e.Finding.Repaired != "" {
			r.repaired++
		} else {
			r.findings++
		}
		if _, err := io.WriteString(r.out, findingText(*e.Finding)); err != nil {
			return fmt.Errorf("printing a finding: %w", err)
		}
	}
	if r.progress.bars == nil {
		r.line()
		return nil
	}
	if r.bar == nil {
		r.bar = r.progress.bar("Verifying blobs", int(e.Progress.TotalBlobs))
	}
	r.bar.drawn.SetCurrent(e.Progress.Blobs)
	return nil
}

// line prints the progress now and then.
func (r *fsckReport) line() {
	if time.Since(r.told) < fsckLineEvery {
		return
	}
	r.told = time.Now()
	_, _ = fmt.Fprintf(r.progress.out, "verified %d of %d blobs, %d of %d bytes; read %d manifests\n",
		r.last.Blobs, r.last.TotalBlobs, r.last.Bytes, r.last.TotalBytes, r.last.Manifests)
}

// end prints the sum, and returns an error when there were findings.
func (r *fsckReport) end(err error) error {
	r.progress.wait()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "Verified %d blobs, %d bytes, and %d manifests.\n", r.last.Blobs, r.last.Bytes, r.last.Manifests)
	if err == nil && r.repaired > 0 {
		_, err = fmt.Fprintf(r.out, "Repaired %d of the %d that were found.\n", r.repaired, r.repaired+r.findings)
	}
	if err == nil && r.findings > 0 {
		what := "1 thing is not as it should be"
		if r.findings > 1 {
			what = fmt.Sprintf("%d things are not as they should be", r.findings)
		}
		err = errors.New(what + ", see above")
	}
	return err
}

func findingText(f registry.Finding) string {
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%s %s: %s\n", f.What, printable(f.Digest.String()), printable(f.Reason))
	for _, list := range []struct {
		title string
		names []string
	}{{"in", f.Repositories}, {"images", f.Tags}} {
		if len(list.names) > 0 {
			_, _ = fmt.Fprintf(&text, "  %s: %s\n", list.title, printable(strings.Join(list.names, ", ")))
		}
	}
	if f.Repaired != "" {
		_, _ = fmt.Fprintf(&text, "  done: %s\n", printable(f.Repaired))
	} else {
		_, _ = fmt.Fprintf(&text, "  do: %s\n", printable(f.Advice))
	}
	return text.String()
}

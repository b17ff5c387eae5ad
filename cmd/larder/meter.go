package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/larder-registry/larder/internal/imagecopy"
)

// meter shows how many bytes of something have been copied. It is safe for concurrent
// use.
type meter struct {
	progress *progress
	title    string
	quiet    bool // no plain line: another tells of it
	mu       sync.Mutex
	total    int64
	drawn    *mpb.Bar
}

// meter is an imagecopy.Meter for one image.
func (p *progress) meter(title string) *meter { return &meter{progress: p, title: title} }

// quietMeter is for images of which a line tells when they are done.
func (p *progress) quietMeter(title string) imagecopy.Meter {
	return &meter{progress: p, title: title, quiet: true}
}

// Begin implements imagecopy.Meter.
func (m *meter) Begin(blobs int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += bytes
	switch {
	case m.drawn != nil:
		m.drawn.SetTotal(m.total, false)
	case m.progress.bars != nil && bytes > 0:
		m.drawn = m.progress.bars.AddBar(m.total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(printable(m.title), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f of % .1f", decor.WCSyncSpace), decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	case !m.quiet:
		_, _ = fmt.Fprintf(m.progress.out, "copying %s: %s, %s ...\n", m.title, counted(blobs, "blob"), bytesText(bytes))
	}
}

// Add implements imagecopy.Meter.
func (m *meter) Add(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.drawn != nil {
		m.drawn.IncrInt64(bytes)
	}
}

// above is a writer whose lines do not meet the bars: above them on a terminal.
func (p *progress) above(out io.Writer) io.Writer {
	file, ok := out.(*os.File)
	if p.bars == nil || !ok || !term.IsTerminal(int(file.Fd())) {
		return out
	}
	return p.bars
}

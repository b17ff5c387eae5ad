package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows bars on a terminal and plain lines elsewhere.
type progress struct {
	out  io.Writer
	bars *mpb.Progress // nil where plain lines are written
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(48))
	}
	return p
}

// bar begins to count up to a total.
func (p *progress) bar(title string, total int) *bar {
	b := &bar{title: title, total: int64(total), out: p.out}
	if p.bars == nil {
		_, _ = fmt.Fprintf(p.out, "%s ...\n", title)
		return b
	}
	b.drawn = p.bars.AddBar(b.total,
		mpb.PrependDecorators(decor.Name(title, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d", decor.WCSyncSpace), decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	return b
}

// wait returns when all bars have been drawn to their ends.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Shutdown()
	}
}

// bar counts what is done. It is safe for concurrent use.
type bar struct {
	title string
	total int64
	done  atomic.Int64
	out   io.Writer
	drawn *mpb.Bar
}

func (b *bar) increment() {
	done := b.done.Add(1)
	if b.drawn != nil {
		b.drawn.Increment()
		return
	}
	if done == b.total {
		_, _ = fmt.Fprintf(b.out, "%s: %d done\n", b.title, done)
	}
}

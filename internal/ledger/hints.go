package ledger

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/batch"
	"github.com/larder-registry/larder/internal/metadata"
)

const (
	// tellEvery is how often other replicas are told what is coming: nodes ask some tenths
	// of a second after their pods were let in.
	tellEvery = 200 * time.Millisecond
	// tellWithin is how late they are told. What comes later is no help to anybody.
	tellWithin = 10 * time.Second
	// maxUntold is how many pulls may wait to be told.
	maxUntold = 500
)

func newHints(c Config) *batch.Writer[announced] {
	if c.Tell == nil {
		return nil
	}
	return batch.New(batch.Config[announced]{
		What: "which pulls are coming, for other replicas,", Every: tellEvery, Most: maxUntold, AtOnce: maxUntold, Log: c.Log,
		Write:   func(ctx context.Context, some []announced) error { return tell(ctx, c, some) },
		Dropped: func(count int) { c.Metrics.hints.WithLabelValues(hintDropped).Add(float64(count)) },
	})
}

// tell lets other replicas hear what is coming, each pull once and the latest last.
func tell(ctx context.Context, c Config, some []announced) error {
	now := c.Now()
	var coming []Coming
	for _, a := range some {
		if now.Sub(a.at) < tellWithin {
			coming = append(slices.DeleteFunc(coming, func(c Coming) bool { return c == a.Coming }), a.Coming)
		}
	}
	for _, hint := range pack(coming, metadata.MaxHint) {
		if err := c.Tell(ctx, hint); err != nil {
			return err
		}
	}
	c.Metrics.hints.WithLabelValues(hintTold).Add(float64(len(coming)))
	return nil
}

// pack writes pulls as texts of at most so many bytes, each of them in a line of JSON. One
// that is longer by itself is left out.
func pack(coming []Coming, most int) (texts []string) {
	var text strings.Builder
	end := func() {
		if text.Len() > 0 {
			texts = append(texts, text.String())
		}
		text.Reset()
	}
	for _, c := range coming {
		line, err := json.Marshal(c)
		if err != nil || len(line) >= most {
			continue
		}
		if text.Len()+len(line)+1 > most {
			end()
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	end()
	return texts
}

// Hear takes in what another replica has told of coming pulls. It waits for nothing.
func (l *Ledger) Hear(hint string) {
	for line := range strings.Lines(hint) {
		var c Coming
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			continue // a later version's, which says it in other words
		}
		if l.expect(c) {
			l.config.Metrics.hints.WithLabelValues(hintHeard).Inc()
		}
	}
}

package server

import (
	"time"

	"github.com/larder-registry/larder/internal/warm"
)

// What holds for a refresh that is not told more of, and how often a tag is asked for at most.
const (
	refreshAbove  = 50 // percent
	refreshPulled = 7 * 24 * time.Hour
	leastRefresh  = 10 * time.Minute
)

// refresh reads how the tags of an upstream are kept fresh.
func (r *fileReader) refresh(e entry) warm.Refresh {
	refresh := warm.Refresh{Above: refreshAbove, Pulled: refreshPulled}
	every := false
	r.mapping(e, fields{
		"every": func(e entry) {
			every = true
			r.duration(e, &refresh.Every)
			if refresh.Every > 0 && refresh.Every < leastRefresh {
				g, _ := r.text(e)
				r.fail(g.errorf("is too short: write at least 10m, since each tag is asked for that often, or 0s for not at all"))
			}
		},
		"above": func(e entry) {
			if g, ok := r.text(e); ok {
				percent, err := parseLevel(g)
				if err != nil {
					r.fail(err)
				}
				refresh.Above = percent
			}
		},
		"pulled": func(e entry) { r.duration(e, &refresh.Pulled) },
	})
	if !every {
		r.wrong(e, "does not say how often: write for example {every: 6h}")
	}
	return refresh
}

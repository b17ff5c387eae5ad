package server

import "time"

// leastKept is how long single calls are kept at least: forecasts are made from them.
const leastKept = 24 * time.Hour

func (r *fileReader) ledger(e entry) {
	r.mapping(e, fields{"keep": r.ledgerKeep})
}

func (r *fileReader) ledgerKeep(e entry) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	keep, err := parseDuration(g)
	switch {
	case err != nil:
		r.fail(err)
	case keep < leastKept:
		r.fail(g.errorf("is too short: write at least 24h, since what an upstream has left is told from it"))
	default:
		r.loader.config.Ledger.Keep = keep
	}
}

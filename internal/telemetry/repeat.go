package telemetry

import (
	"context"
	"time"
)

// Repeat does work each time that the period has passed, until ctx ends. Of failures in a
// row failed hears the first one.
func Repeat(ctx context.Context, period time.Duration, work func(context.Context) error, failed func(error)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			failed(err)
		}
		failing = err != nil
	}
}

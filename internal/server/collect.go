package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/registry"
)

const (
	// firstCollection is how long after the start the first collection begins, at the
	// least: a server that is restarted each night collects, too.
	firstCollection = time.Hour
	// collections is how long each waits for the next.
	collections = 24 * time.Hour
)

func (f *floor) newCollector(to prometheus.Registerer) (*gc.Collector, error) {
	probe, err := registry.ProbeBlobs()
	if err != nil {
		return nil, err
	}
	return &gc.Collector{
		Sweeper: &gc.Sweeper{Blobs: f.blobs, DB: f.DB, Guard: f.guard, Keep: probe, Ours: f.claim},
		Now:     time.Now,
		Metrics: gc.NewMetrics(to),
	}, nil
}

// collect removes what nothing refers to, once a day until ctx ends.
func (f *floor) collect(ctx context.Context) {
	// Replicas that were started together do not all begin at once.
	wait := time.NewTimer(firstCollection + rand.N(firstCollection)) //nolint:gosec // spreading work needs no secrecy
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		f.collectOnce(ctx)
		wait.Reset(collections)
	}
}

func (f *floor) collectOnce(ctx context.Context) {
	began := time.Now()
	removed, err := f.gc.Collect(ctx, gc.Options{})
	switch {
	case errors.Is(err, gc.ErrBusy):
		f.log.Info("nothing was collected today", "because", gc.ErrBusy)
		return
	case err != nil && ctx.Err() == nil:
		f.log.Error("the collection of what nothing refers to was ended by an error", "error", err)
	}
	f.log.Info("removed what nothing refers to", "links", removed.Links, "blobs", removed.Blobs, "orphans", removed.Orphans,
		"bytes", removed.Bytes, "took", fmt.Sprint(time.Since(began).Round(time.Millisecond)))
}

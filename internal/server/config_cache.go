package server

import (
	"strconv"
	"strings"

	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/oci"
)

// cacheSize reads how large the cache may grow.
func (r *fileReader) cacheSize(e entry) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	limit, err := parseCacheSize(g)
	if err != nil {
		r.fail(err)
		return
	}
	r.loader.given[e.key] = g
	r.loader.config.CacheSize = limit
}

// parseCacheSize accepts a share of the disk, as in 80%, or a size, as in 200GiB.
func parseCacheSize(g given) (gc.Limit, error) {
	const advice = "write a size with its unit, for example 200GiB, or a share of the disk, for example 80%"
	if share, isShare := strings.CutSuffix(g.text, "%"); isShare {
		percent, err := strconv.ParseUint(share, 10, 8)
		if err != nil || percent < 1 || percent > 100 {
			return gc.Limit{}, g.errorf("is not a share of the disk between 1%% and 100%%: %s", advice)
		}
		return gc.Limit{Percent: int(percent)}, nil
	}
	bytes, err := oci.ParseSize(g.text)
	if err != nil {
		return gc.Limit{}, g.errorf("is not a size: %s", advice)
	}
	return gc.Limit{Bytes: bytes}, nil
}

// validateCacheSize holds the limit against where blobs are kept: object storage is never
// full.
func (l *loader) validateCacheSize() {
	if l.config.Storage == nil || l.config.CacheSize.Percent == 0 {
		return
	}
	if g, set := l.given["cacheSize"]; set {
		l.fail(g.errorf("is a share of the disk, but storage is in S3, which has no end: write a size, for example 200GiB, or remove it for no limit"))
		return
	}
	l.config.CacheSize = gc.Limit{}
}

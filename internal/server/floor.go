package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/blob"
	"github.com/larder-registry/larder/internal/blob/tier"
	"github.com/larder-registry/larder/internal/events"
	"github.com/larder-registry/larder/internal/failures"
	"github.com/larder-registry/larder/internal/fairshare"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/pullthrough"
	"github.com/larder-registry/larder/internal/registry"
	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// uploadLife is how long an unfinished upload is kept.
	uploadLife = 24 * time.Hour
	// maintenance is how often leftovers are looked for.
	maintenance = time.Hour
	// upkeepLease is how long the background work of a killed replica is left alone.
	upkeepLease = time.Minute
)

// floor is what stays open while configurations come and go: the data folder, the
// stores, and the transfers under way.
type floor struct {
	log *slog.Logger
	*Stores
	blobs blob.Store  // the stores' own, with hot blobs in front where they are far away
	hot   *tier.Store // the same, nil when there is none
	guard *blob.Guard // of all who store or remove blobs
	held  *registry.Registry
	pulls *registry.Pulls
	// events is the audit log.
	events *events.Log
	ledger *ledger.Ledger
	// failures is what caches refused or served stale.
	failures *failures.Log
	// budgets tells how upstreams stand. It is set before anything is served.
	budgets func() []ledger.Upstream
	who     *authn.Authenticator
	// roles are those that are kept here.
	roles *authz.Authorizer
	// asks and may are what the listeners ask: who somebody is, and what they may do.
	asks authenticator
	may  authorizer
	// cluster decides; nil where access is local.
	cluster *kube.Client
	fills   *pullthrough.Fills
	// limits counts pulls, whatever rules are in force.
	limits *pulllimit.Limiter
	// shares counts what is spent of reserves and budgets, whatever plans are in force.
	shares *fairshare.Shares
	gc     *gc.Collector
	evict  *gc.Evictor
	// forget is told of manifests that were evicted. It is set before anything is served.
	forget func(oci.Repository, []digest.Digest)
	// replicas is nil where there is no other process, or none that could reach this one.
	replicas *replicas
	// clusterWork is what is done on the objects of a cluster.
	clusterWork []clusterWork

	cacheMetrics    *pullthrough.Metrics
	upstreamMetrics *upstream.Metrics
}

func openFloor(ctx context.Context, config Config, options Options, to prometheus.Registerer) (_ *floor, err error) {
	f := &floor{log: options.Log, guard: blob.NewGuard()}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.Stores, err = OpenStores(ctx, config); err != nil {
		return nil, err
	}
	if err := f.keepHot(config, to); err != nil {
		return nil, err
	}
	if f.gc, err = f.newCollector(to); err != nil {
		return nil, err
	}
	f.evict = f.newEvictor(config, to)
	f.held = registry.New(registry.Config{
		DB: f.DB, Blobs: f.blobs, Guard: f.guard, Room: f.evict, Log: f.log, Metrics: registry.NewMetrics(to, f.DB.Damaged.Count),
		Redirect: config.Storage != nil && config.Storage.Redirect,
	})
	f.pulls = registry.NewPulls(f.DB.Manifests, options.Tuning.Now, f.log)
	f.events = events.New(f.DB.Audit, options.Tuning.Now, f.log)
	f.ledger = f.newLedger(config, options, to)
	f.failures = failures.New(f.DB.Failures, options.Tuning.Now, f.log)
	if err := f.openCounters(ctx, options, to); err != nil {
		return nil, err
	}
	if err := f.removeStrays(ctx); err != nil {
		return nil, err
	}
	rules, err := ciRules(config.CITokens)
	if err != nil {
		return nil, err
	}
	f.who, err = authn.New(authn.Config{Users: f.DB.Users, Tokens: f.DB.Tokens, Keys: f.DB.Keys, Issuer: "larder", CI: rules, Changes: f.DB.Changes.Accounts})
	if err != nil {
		return nil, err
	}
	if err := f.openAccess(ctx, config, options); err != nil {
		return nil, err
	}
	if err := f.openClusterWork(config, options); err != nil {
		return nil, err
	}
	f.upstreamMetrics = upstream.NewMetrics(to)
	f.openFills(config, options, to)
	return f, nil
}

// openCounters counts what people and projects have pulled, in this process or in all.
func (f *floor) openCounters(ctx context.Context, options Options, to prometheus.Registerer) (err error) {
	f.limits, err = pulllimit.Open(ctx, pulllimit.Config{
		Store: f.DB.LimitCounters, Shared: f.DB.Shared(), Metrics: pulllimit.NewMetrics(to), Now: options.Tuning.Now, Log: f.log,
	})
	if err != nil {
		return err
	}
	f.shares, err = fairshare.Open(ctx, fairshare.Config{
		Store: f.DB.LimitCounters, Shared: f.DB.Shared(), Metrics: fairshare.NewMetrics(to), Now: options.Tuning.Now, Log: f.log,
	})
	return err
}

// openFills prepares what fetches blobs, in this process and with its replicas.
func (f *floor) openFills(config Config, options Options, to prometheus.Registerer) {
	f.cacheMetrics = pullthrough.NewMetrics(to)
	fills := pullthrough.FillsConfig{
		Blobs: f.blobs, Guard: f.guard, DB: f.DB, Metrics: f.cacheMetrics, Log: f.log, Backoff: options.Tuning.Backoff,
		Room: f.evict, Stored: f.evict.Stored,
	}
	if config.Replica.Advertise != nil {
		f.replicas = newReplicas(config.Replica.Advertise, f.DB.Leases, f.who, f.log)
		fills.Peers = f.replicas
	}
	f.fills = pullthrough.NewFills(fills)
}

// keepHot puts a local folder in front of object storage, when there is to be one.
func (f *floor) keepHot(config Config, to prometheus.Registerer) error {
	f.blobs = f.Blobs
	if config.Storage == nil {
		return nil
	}
	size, err := config.Storage.hotSize(f.Data.Path())
	if err != nil || size == 0 {
		return err
	}
	f.hot, err = tier.Open(f.Blobs, tier.Config{
		Dir: f.Data.Path(hotFolder), Size: size, Metrics: tier.NewMetrics(to), Log: f.log,
	})
	if err == nil {
		f.blobs = f.hot
	}
	return err
}

// removeStrays removes what the uploads left that a killed process had under way.
func (f *floor) removeStrays(ctx context.Context) error {
	removed, err := f.held.RemoveStrayUploads(ctx)
	if removed > 0 {
		f.log.Info("removed uploads that were under way when the registry was killed", "count", removed)
	}
	return err
}

// maintain removes leftovers until ctx ends.
func (f *floor) maintain(ctx context.Context) {
	tick := time.NewTicker(maintenance)
	defer tick.Stop()
	for {
		f.alone(ctx, "leftovers", f.sweep)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// alone runs background work unless another replica is at it.
func (f *floor) alone(ctx context.Context, work string, run func(context.Context)) {
	lease := metadata.Lease{Name: "upkeep/" + work, Holder: rand.Text()}
	err := f.DB.Leases.Hold(ctx, lease, upkeepLease, func(ctx context.Context) error {
		run(ctx)
		return nil
	})
	if err != nil && !errors.Is(err, metadata.ErrLeased) && ctx.Err() == nil {
		f.log.Warn("keeping background work from other replicas", "work", work, "error", err)
	}
}

func (f *floor) sweep(ctx context.Context) {
	dropped, err := f.held.SweepUploads(ctx, uploadLife)
	if dropped > 0 {
		f.log.Info("removed unfinished uploads", "count", dropped, "older_than", uploadLife)
	}
	strays, failed := 0, f.claim(ctx)
	if failed == nil {
		strays, failed = f.held.SweepStrays(ctx, uploadLife)
	}
	if strays > 0 {
		f.log.Info("removed what transfers had left that were cut off", "count", strays, "older_than", uploadLife)
	}
	err = errors.Join(err, failed, f.DB.Tokens.DeleteExpired(ctx, time.Now()), f.DB.Leases.DeleteExpired(ctx), f.events.Shorten(ctx), f.ledger.Shorten(ctx), f.failures.Shorten(ctx), f.limits.Sweep(ctx))
	if err != nil && ctx.Err() == nil {
		f.log.Warn("removing leftovers", "error", err)
	}
}

// endFills breaks off the transfers under way; none begins after it.
func (f *floor) endFills() {
	if f.fills != nil {
		f.fills.Close()
	}
}

// close ends the transfers under way and closes the stores.
func (f *floor) close() {
	f.endFills()
	if f.held != nil {
		f.held.Close()
	}
	if f.replicas != nil {
		f.replicas.close()
	}
	if f.hot != nil {
		f.hot.Close()
	}
	if f.ledger != nil {
		f.ledger.Close() // what the last transfers have cost
	}
	if f.shares != nil {
		f.shares.Close() // likewise
	}
	if f.failures != nil {
		f.failures.Close()
	}
	if f.Stores != nil {
		if err := f.Close(); err != nil {
			f.log.Error("closing the stores", "error", err)
		}
	}
}

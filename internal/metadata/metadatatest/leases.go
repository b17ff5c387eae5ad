package metadatatest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// leaseLife is longer than a case takes, on a busy machine too.
const leaseLife = 5 * time.Minute

func leases(t *testing.T, open func(t *testing.T) *metadata.DB) {
	ann := metadata.Lease{Name: "collect", Holder: "ann", Address: "http://10.0.0.1:5000"}
	bob := metadata.Lease{Name: "collect", Holder: "bob"}
	each(t, open, map[string]func(t *testing.T, db *metadata.DB){
		"one holder at a time": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			leased(t, db.Leases.Acquire(t.Context(), bob, leaseLife))
			same(t, ann, must[metadata.Lease](t)(db.Leases.Get(t.Context(), "collect")))
		},
		"two leases do not touch each other": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			ok(t, db.Leases.Acquire(t.Context(), metadata.Lease{Name: "evict", Holder: "bob"}, leaseLife))
		},
		"the holder may acquire it again, with another address": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			moved := ann
			moved.Address = "http://10.0.0.9:5000"
			ok(t, db.Leases.Acquire(t.Context(), moved, leaseLife))
			same(t, moved, must[metadata.Lease](t)(db.Leases.Get(t.Context(), "collect")))
		},
		"one that was given back is free": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			ok(t, db.Leases.Release(t.Context(), "collect", "ann"))
			notFound(t, second(db.Leases.Get(t.Context(), "collect")))
			ok(t, db.Leases.Acquire(t.Context(), bob, leaseLife))
		},
		"nobody gives back what another holds": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			ok(t, db.Leases.Release(t.Context(), "collect", "bob"))
			leased(t, db.Leases.Acquire(t.Context(), bob, leaseLife))
		},
		"one that has expired is free, and cannot be renewed": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, 0))
			notFound(t, second(db.Leases.Get(t.Context(), "collect")))
			notFound(t, db.Leases.Renew(t.Context(), "collect", "ann", leaseLife))
			ok(t, db.Leases.Acquire(t.Context(), bob, leaseLife))
			notFound(t, db.Leases.Renew(t.Context(), "collect", "ann", leaseLife))
		},
		"what is held outlives the expired ones": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			ok(t, db.Leases.Acquire(t.Context(), metadata.Lease{Name: "evict", Holder: "ann"}, 0))
			ok(t, db.Leases.DeleteExpired(t.Context()))
			same(t, ann, must[metadata.Lease](t)(db.Leases.Get(t.Context(), "collect")))
			notFound(t, db.Leases.Renew(t.Context(), "evict", "ann", leaseLife))
		},
		"renewing prolongs it": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Acquire(t.Context(), ann, leaseLife))
			ok(t, db.Leases.Renew(t.Context(), "collect", "ann", 0))
			notFound(t, second(db.Leases.Get(t.Context(), "collect")))
		},
		"what runs under a lease has it to its end": func(t *testing.T, db *metadata.DB) {
			ok(t, db.Leases.Hold(t.Context(), ann, leaseLife, func(ctx context.Context) error {
				leased(t, db.Leases.Hold(ctx, bob, leaseLife, func(context.Context) error {
					t.Error("two hold one lease")
					return nil
				}))
				return nil
			}))
			notFound(t, second(db.Leases.Get(t.Context(), "collect")))
		},
		"what runs under a lease for longer than its life still has it, or is told": func(t *testing.T, db *metadata.DB) {
			const life = 400 * time.Millisecond
			err := db.Leases.Hold(t.Context(), ann, life, func(ctx context.Context) error {
				<-time.After(3 * life)
				_, err := db.Leases.Get(t.Context(), "collect")
				if err == nil {
					return nil
				}
				select {
				case <-ctx.Done(): // the machine stood still for too long
					return nil
				case <-time.After(leaseLife):
					return err
				}
			})
			if !errors.Is(err, context.DeadlineExceeded) { // it may expire while it is given back
				ok(t, err)
			}
		},
		"what runs under a lease that is lost is told": func(t *testing.T, db *metadata.DB) {
			err := db.Leases.Hold(t.Context(), ann, time.Second, func(ctx context.Context) error {
				ok(t, db.Leases.Release(context.WithoutCancel(ctx), "collect", "ann"))
				<-ctx.Done()
				return context.Cause(ctx)
			})
			if !errors.Is(err, metadata.ErrLeaseLost) {
				t.Errorf("got the error %v, want %v", err, metadata.ErrLeaseLost)
			}
		},
		"of many who ask at once one gets it": func(t *testing.T, db *metadata.DB) {
			var holders atomic.Int64
			together(t, func(worker int) error {
				err := db.Leases.Acquire(t.Context(), metadata.Lease{Name: "collect", Holder: string(rune('a' + worker))}, leaseLife)
				if err == nil {
					holders.Add(1)
				}
				if errors.Is(err, metadata.ErrLeased) {
					return nil
				}
				return err
			})
			same(t, int64(1), holders.Load())
		},
	})
}

func leased(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, metadata.ErrLeased) {
		t.Fatalf("got the error %v, want %v", err, metadata.ErrLeased)
	}
}

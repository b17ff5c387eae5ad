package metadata

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	// ErrLeased is returned when another holder has the lease.
	ErrLeased = errors.New("another process holds the lease")
	// ErrLeaseLost ends what runs under a lease that could not be renewed.
	ErrLeaseLost = errors.New("the lease was lost")
)

// Lease is a right that one process has over all that share the database, until it
// gives it back or has not renewed it in time.
type Lease struct {
	Name    string
	Holder  string // unique to the process, or to the work
	Address string // where others reach the holder; may be empty
}

// Leases keeps the leases. Their times are those of the database's clock, so that the
// clocks of the processes need not agree.
type Leases struct{ store *store }

// Acquire takes a lease for the given life, or prolongs it where l.Holder has it
// already. Otherwise the error has ErrLeased in its chain; Get tells who has it.
func (ls *Leases) Acquire(ctx context.Context, l Lease, life time.Duration) error {
	changed, err := ls.store.change(ctx, `
		INSERT INTO leases (name, holder, address, expires_at) VALUES ($1, $2, $3, `+ls.store.clock+` + $4)
		ON CONFLICT (name) DO UPDATE SET
			holder = excluded.holder, address = excluded.address, expires_at = excluded.expires_at
		WHERE leases.holder = excluded.holder OR leases.expires_at <= `+ls.store.clock,
		l.Name, l.Holder, l.Address, life.Microseconds())
	if err == nil && changed == 0 {
		err = ErrLeased
	}
	if err != nil {
		return failed(err, "acquiring lease %s", l.Name)
	}
	return nil
}

// Renew prolongs a lease by the given life from now. ErrNotFound says that the holder
// has lost it.
func (ls *Leases) Renew(ctx context.Context, name, holder string, life time.Duration) error {
	err := oneChanged(ls.store.change(ctx, `
		UPDATE leases SET expires_at = `+ls.store.clock+` + $3
		WHERE name = $1 AND holder = $2 AND expires_at > `+ls.store.clock, name, holder, life.Microseconds()))
	if err != nil {
		return failed(err, "renewing lease %s", name)
	}
	return nil
}

// Release gives a lease back. One that the holder does not have is no error.
func (ls *Leases) Release(ctx context.Context, name, holder string) error {
	if _, err := ls.store.change(ctx, "DELETE FROM leases WHERE name = $1 AND holder = $2", name, holder); err != nil {
		return failed(err, "releasing lease %s", name)
	}
	return nil
}

// Get tells who has a lease; ErrNotFound, that nobody has.
func (ls *Leases) Get(ctx context.Context, name string) (Lease, error) {
	l, err := one(ctx, ls.store, scanLease, `
		SELECT name, holder, address FROM leases WHERE name = $1 AND expires_at > `+ls.store.clock, name)
	if err != nil {
		return Lease{}, failed(err, "reading lease %s", name)
	}
	return l, nil
}

// DeleteExpired forgets the leases that killed processes have left.
func (ls *Leases) DeleteExpired(ctx context.Context) error {
	if _, err := ls.store.change(ctx, "DELETE FROM leases WHERE expires_at <= "+ls.store.clock); err != nil {
		return failed(err, "deleting expired leases")
	}
	return nil
}

// Hold acquires a lease, runs fn while it renews it, and gives it back. ErrLeased in
// the chain says that another holder has it and that fn was not run. The context of
// fn ends with ErrLeaseLost as its cause before the lease expires unrenewed.
func (ls *Leases) Hold(ctx context.Context, l Lease, life time.Duration, fn func(context.Context) error) error {
	taken, err := ls.Take(ctx, l, life)
	if err != nil {
		return err
	}
	held, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(taken.held, func() { cancel(taken.Lost()) })
	defer stop()
	err = fn(held)
	if lost := taken.Lost(); err != nil && lost != nil {
		err = errors.Join(err, lost)
	}
	return errors.Join(err, taken.GiveBack())
}

// Taken is a lease that is renewed until it is given back.
type Taken struct {
	leases   *Leases
	lease    Lease
	life     time.Duration
	held     context.Context
	lose     context.CancelCauseFunc
	renewing sync.WaitGroup
}

// Take acquires a lease for work that does not fit into one function, and renews it
// until GiveBack is called. ErrLeased in the chain says that another holder has it.
func (ls *Leases) Take(ctx context.Context, l Lease, life time.Duration) (*Taken, error) {
	if err := ls.Acquire(ctx, l, life); err != nil {
		return nil, err
	}
	t := &Taken{leases: ls, lease: l, life: life}
	t.held, t.lose = context.WithCancelCause(context.WithoutCancel(ctx))
	t.renewing.Go(func() {
		if err := ls.renew(t.held, l, life); err != nil {
			t.lose(err)
		}
	})
	return t, nil
}

// Lost is nil while the lease is held, and has ErrLeaseLost in its chain when it could
// not be renewed.
func (t *Taken) Lost() error {
	if cause := context.Cause(t.held); errors.Is(cause, ErrLeaseLost) {
		return cause
	}
	return nil
}

// GiveBack ends the lease. It is called once.
func (t *Taken) GiveBack() error {
	t.lose(nil)
	t.renewing.Wait()
	return t.leases.giveBack(t.held, t.lease, t.life)
}

// renew prolongs a lease again and again until the context ends or the lease is lost.
func (ls *Leases) renew(ctx context.Context, l Lease, life time.Duration) error {
	pause := life / 4
	tick := time.NewTicker(pause)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := time.Now()
		try, cancel := context.WithTimeout(ctx, pause)
		err := ls.Renew(try, l.Name, l.Holder, life)
		cancel()
		switch {
		case err == nil:
			renewed = began
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrNotFound) || time.Since(renewed) > life-2*pause:
			return fmt.Errorf("%w: %w", ErrLeaseLost, err)
		}
	}
}

// giveBack releases the lease also when the context has ended. Where that fails, the
// lease expires by itself.
func (ls *Leases) giveBack(ctx context.Context, l Lease, life time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), life)
	defer cancel()
	return ls.Release(ctx, l.Name, l.Holder)
}

func scanLease(r row) (Lease, error) {
	var l Lease
	err := r.Scan(&l.Name, &l.Holder, &l.Address)
	return l, err
}

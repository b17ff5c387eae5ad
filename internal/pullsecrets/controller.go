package pullsecrets

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// Label asks on a namespace, with the value Enabled, for pull secrets. On a service
	// account it says that it has one, with the value Kept.
	Label = "larder.dev/pull-secrets"
	// Enabled is what a namespace has.
	Enabled = "enabled"
	// Kept is what a service account has.
	Kept = "kept"

	// resync is how often everything is looked at, heard of or not.
	resync = time.Minute
	// retry is how long after a failure it is tried again: nobody tells of a right that was
	// given meanwhile.
	retry = 5 * time.Second
	// pause lies between two looks, however much changes.
	pause = 200 * time.Millisecond
	// watchPause is how long after an end a watch is begun anew.
	watchPause = 5 * time.Second
	// defaultLife is how long a credential is good: it is renewed at half of it.
	defaultLife = 24 * time.Hour
)

// Cluster reads and writes the objects of a cluster.
type Cluster interface {
	Namespaces(ctx context.Context, selector string) ([]string, error)
	ServiceAccounts(ctx context.Context, namespace, selector string) ([]kube.ServiceAccount, error)
	SetPullSecrets(ctx context.Context, a kube.ServiceAccount, names []string, label, value string) (kube.ServiceAccount, error)
	PullSecret(ctx context.Context, namespace, name string) (kube.PullSecret, error)
	PutPullSecret(ctx context.Context, s kube.PullSecret) (kube.PullSecret, error)
	DeletePullSecret(ctx context.Context, s kube.PullSecret) error
	Watch(ctx context.Context, path, selector string, tell func(kube.Event)) error
}

// Credential is what a service account pulls with.
type Credential struct {
	// ID is by which it is revoked; empty where it dies with its secret.
	ID        string
	Password  string
	ExpiresAt time.Time
}

// Issuer makes credentials of service accounts.
type Issuer interface {
	// Issue makes one that is kept in a secret, good for about as long as life.
	Issue(ctx context.Context, a kube.ServiceAccount, in kube.PullSecret, life time.Duration) (Credential, error)
	// Revoke ends one before its time.
	Revoke(ctx context.Context, id string) error
}

// Config is what a Controller stands on.
type Config struct {
	Cluster Cluster
	Issuer  Issuer
	// Host is the registry's, HOST or HOST:PORT, as images name it.
	Host string
	// Life is how long a credential is good; zero means a day.
	Life time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Controller keeps the pull secrets of one cluster. It is for one goroutine.
type Controller struct {
	Config
	// seen are the accounts that were in order, by namespace and name.
	seen map[string]seen
	// failing are the namespaces and accounts that could not be kept, and why.
	failing map[string]string
}

// seen is an account that was in order at a version, and until when it is.
type seen struct {
	version string
	until   time.Time
}

// New makes a controller, which does nothing yet.
func New(c Config) *Controller {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Life == 0 {
		c.Life = defaultLife
	}
	return &Controller{Config: c, seen: map[string]seen{}, failing: map[string]string{}}
}

// Run keeps the secrets until the context ends. It looks whenever a namespace or a service
// account changes, and once a minute.
func (c *Controller) Run(ctx context.Context) {
	changed := make(chan struct{}, 1)
	changes := func() {
		select {
		case changed <- struct{}{}:
		default: // it is going to look anyway
		}
	}
	var watches sync.WaitGroup
	watches.Go(func() { c.watch(ctx, "/api/v1/namespaces", Label+"="+Enabled, changes) })
	watches.Go(func() { c.watch(ctx, "/api/v1/serviceaccounts", "", changes) })
	defer watches.Wait()
	again := time.NewTicker(resync)
	defer again.Stop()
	for {
		c.look(ctx)
		if sleep.For(ctx, pause) != nil {
			return
		}
		var soon <-chan time.Time
		if len(c.failing) > 0 {
			soon = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-soon:
		case <-again.C:
			clear(c.seen) // also what nobody tells of: a secret that somebody has removed
		}
	}
}

// watch tells of changes for as long as the context lasts.
func (c *Controller) watch(ctx context.Context, path, selector string, changed func()) {
	for {
		err := c.Cluster.Watch(ctx, path, selector, func(kube.Event) { changed() })
		c.Log.Debug("a watch of the cluster has ended", "path", path, "error", err)
		changed() // what happened meanwhile is not told
		if sleep.For(ctx, watchPause) != nil {
			return
		}
	}
}

// look tells the log what could not be done, once for each thing and reason.
func (c *Controller) look(ctx context.Context) {
	failed := c.Sync(ctx)
	if ctx.Err() != nil {
		return
	}
	for of, err := range failed {
		if c.failing[of] != err.Error() {
			c.Log.Error("a pull secret could not be kept in the cluster", "of", of, "error", err)
		}
	}
	for of := range c.failing {
		if _, still := failed[of]; !still {
			c.Log.Info("pull secrets are kept in the cluster again", "of", of)
		}
	}
	clear(c.failing)
	for of, err := range failed {
		c.failing[of] = err.Error()
	}
}

// everything is of what a failure is that concerns all namespaces.
const everything = "all namespaces"

// Sync makes everything as it is to be, and tells of what that failed, and why: accounts are
// named NAMESPACE/NAME.
func (c *Controller) Sync(ctx context.Context) map[string]error {
	namespaces, err := c.Cluster.Namespaces(ctx, Label+"="+Enabled)
	if err != nil {
		return map[string]error{everything: err}
	}
	failed, wanted := map[string]error{}, map[string]bool{}
	note := func(of string, err error) {
		// Somebody else was faster: that is a change, of which the next look hears.
		if err != nil && !errors.Is(err, kube.ErrChanged) {
			failed[of] = err
		}
	}
	for _, namespace := range namespaces {
		wanted[namespace] = true
		accounts, err := c.Cluster.ServiceAccounts(ctx, namespace, "")
		note(namespace, err)
		for _, a := range accounts {
			note(id(a), c.keep(ctx, a))
		}
	}
	kept, err := c.Cluster.ServiceAccounts(ctx, "", Label+"="+Kept)
	note(everything, err)
	for _, a := range kept {
		if !wanted[a.Namespace] {
			note(id(a), c.drop(ctx, a))
		}
	}
	return failed
}

func id(a kube.ServiceAccount) string { return a.Namespace + "/" + a.Name }

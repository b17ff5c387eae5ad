package imagetrigger

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/authn"
	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/sleep"
)

const (
	// pause lies between two looks at the tags that are followed.
	pause = 2 * time.Second
	// retry is how long a workload that could not be changed is left alone.
	retry = 30 * time.Second
	// watchPause is how long after its end a watch is begun anew.
	watchPause = 5 * time.Second
)

// Cluster reads and changes workloads.
type Cluster interface {
	Watch(ctx context.Context, path, selector string, tell func(kube.Event)) error
	Patch(ctx context.Context, path string, operations []kube.Operation) error
}

// Tags tells what a tag names.
type Tags interface {
	Get(ctx context.Context, repository, name string) (metadata.Tag, error)
}

// Projects tells what a project is.
type Projects interface {
	Get(ctx context.Context, name string) (metadata.Project, error)
}

// Authorizer tells what somebody may do.
type Authorizer interface {
	Allowed(ctx context.Context, id authn.Identity, action authz.Action, target authz.Target) (bool, error)
}

// Config is what a Controller stands on.
type Config struct {
	Cluster    Cluster
	Tags       Tags
	Projects   Projects
	Authorizer Authorizer
	// Watched tells whether the workloads of a namespace may follow tags.
	Watched func(namespace string) bool
	// Host is the registry's, HOST or HOST:PORT, as images name it.
	Host string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Controller has the workloads of one cluster follow tags.
type Controller struct {
	Config
	mu        sync.Mutex
	workloads map[string]Workload // those that have triggers, by their paths
	// failing are workloads that could not be changed: why, and when it is tried again. It
	// belongs to who calls Sync.
	failing map[string]failure
}

type failure struct {
	why   string
	again time.Time
}

// New makes a controller, which does nothing yet.
func New(c Config) *Controller {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Controller{Config: c, workloads: map[string]Workload{}, failing: map[string]failure{}}
}

// Run works until the context ends. It hears of each change of a workload, and looks at the
// tags that are followed every two seconds.
func (c *Controller) Run(ctx context.Context) {
	var watches sync.WaitGroup
	defer watches.Wait()
	for _, kind := range Kinds() {
		watches.Go(func() { c.watch(ctx, kind) })
	}
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			c.Sync(ctx)
		}
	}
}

// watch knows the workloads of a kind for as long as the context lasts. One that goes while
// nobody is told is forgotten when it cannot be changed.
func (c *Controller) watch(ctx context.Context, kind Kind) {
	told := ""
	for {
		err := c.Cluster.Watch(ctx, kind.List(), "", func(e kube.Event) {
			told = ""
			c.Heard(kind, e)
		})
		if ctx.Err() == nil && told != err.Error() {
			told = err.Error()
			c.Log.Info("a watch of the cluster's workloads has ended and is begun anew", "kind", kind.Name, "error", err)
		}
		if sleep.For(ctx, watchPause) != nil {
			return
		}
	}
}

// Heard takes in what a cluster tells of a workload.
func (c *Controller) Heard(kind Kind, e kube.Event) {
	w, err := Read(kind, e.Object)
	if err != nil {
		c.Log.Warn("a workload of the cluster cannot be read", "error", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Gone || w.Annotations[Annotation] == "" || !c.Watched(w.Namespace) {
		delete(c.workloads, w.Path())
		return
	}
	c.workloads[w.Path()] = w
}

// known are the workloads that have triggers.
func (c *Controller) known() (all []Workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workloads {
		all = append(all, w)
	}
	return all
}

func (c *Controller) forget(w Workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.workloads, w.Path())
}

// Sync sets the images of all workloads to what their tags name.
func (c *Controller) Sync(ctx context.Context) {
	found := &finder{Controller: c, digests: map[string]digest.Digest{}}
	all := c.known()
	there := map[string]bool{}
	for _, w := range all {
		there[w.Path()] = true
		last, failed := c.failing[w.Path()]
		if failed && c.Now().Before(last.again) {
			continue
		}
		err := found.follow(ctx, w)
		if ctx.Err() != nil {
			return
		}
		c.tell(w, err, last)
	}
	for path := range c.failing {
		if !there[path] {
			delete(c.failing, path)
		}
	}
}

// tell logs what could not be done, once for each workload and reason.
func (c *Controller) tell(w Workload, err error, last failure) {
	switch {
	case err == nil && last.why != "":
		c.Log.Info("a workload follows its tags again", "workload", w.String())
		delete(c.failing, w.Path())
	case err != nil:
		if err.Error() != last.why {
			c.Log.Warn("a workload does not follow its tags", "workload", w.String(), "error", err)
		}
		c.failing[w.Path()] = failure{why: err.Error(), again: c.Now().Add(retry)}
	}
}

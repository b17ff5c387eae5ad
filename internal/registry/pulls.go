package registry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/telemetry"
)

const (
	// pullsEvery is how often gathered pulls are written; a crash loses those since.
	pullsEvery = 5 * time.Second
	// pullsAtOnce is how many pulls one transaction writes: others wait for it.
	pullsAtOnce = 1000
	// maxPulls is how many manifests' pulls are gathered; those of others are not
	// noted until the gathered ones are written.
	maxPulls = 100_000
	// lastPulls bounds the writing at the end, when the database may be gone.
	lastPulls = 10 * time.Second
)

// PullStore keeps when manifests were last pulled, and how many images.
type PullStore interface {
	Pulled(ctx context.Context, pulls []metadata.Pull) error
}

// Pulls gathers in memory when and how often manifests were pulled, so that a pull costs no query,
// and writes it every few seconds. It is safe for concurrent use.
type Pulls struct {
	store PullStore
	now   func() time.Time
	log   *slog.Logger
	every time.Duration

	mu       sync.Mutex
	gathered map[pulled]gathered
}

type pulled struct {
	repository oci.Repository
	digest     digest.Digest
}

// gathered is what has not been written yet of the pulls of one manifest.
type gathered struct {
	last   time.Time
	images int64
}

// NewPulls gathers for a store; nothing is written unless Run runs. A now of nil means
// time.Now.
func NewPulls(store PullStore, now func() time.Time, log *slog.Logger) *Pulls {
	if now == nil {
		now = time.Now
	}
	return &Pulls{store: store, now: now, log: log, every: pullsEvery, gathered: map[pulled]gathered{}}
}

// Pulled notes that a manifest is being pulled. It waits for no storage. An index is
// pulled for one of its images, which counts when it is asked for.
func (p *Pulls) Pulled(repo oci.Repository, m oci.Manifest) {
	now := gathered{last: p.now(), images: 1}
	if oci.IsIndex(m.MediaType) {
		now.images = 0
	}
	p.note(pulled{repo, m.Digest}, now)
}

func (p *Pulls) note(what pulled, more gathered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.gathered[what]
	if !known && len(p.gathered) >= maxPulls {
		return
	}
	if before.last.After(more.last) {
		more.last = before.last
	}
	more.images += before.images
	p.gathered[what] = more
}

// Run writes what was gathered every few seconds until ctx ends, and then once more.
func (p *Pulls) Run(ctx context.Context) {
	telemetry.Repeat(ctx, p.every, p.write, func(err error) {
		p.log.Warn("the times of pulls could not be written and are tried again every few seconds", "error", err)
	})
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPulls)
	defer cancel()
	if err := p.write(last); err != nil {
		p.log.Warn("the times of the last pulls are lost", "error", err)
	}
}

// write writes what was gathered. What could not be written is gathered again.
func (p *Pulls) write(ctx context.Context) error {
	rest := p.take()
	for len(rest) > 0 {
		some := rest[:min(pullsAtOnce, len(rest))]
		if err := p.store.Pulled(ctx, some); err != nil {
			for _, pull := range rest {
				p.note(pulled{oci.Repository(pull.Repository), pull.Digest}, gathered{pull.At, pull.Images})
			}
			return err
		}
		rest = rest[len(some):]
	}
	return nil
}

// take returns what was gathered and begins anew.
func (p *Pulls) take() []metadata.Pull {
	p.mu.Lock()
	taken := p.gathered
	p.gathered = make(map[pulled]gathered, len(taken))
	p.mu.Unlock()
	all := make([]metadata.Pull, 0, len(taken))
	for what, g := range taken {
		all = append(all, metadata.Pull{Repository: what.repository.String(), Digest: what.digest, At: g.last, Images: g.images})
	}
	return all
}

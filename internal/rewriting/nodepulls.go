package rewriting

import (
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/oci"
)

// maxNodePulls is how many images are remembered that nodes asked for.
const maxNodePulls = 100_000

// NodePulls remember when nodes asked last for which images by the names that these have in
// their own registries, as their mirrors do, since this process began. They are safe for
// concurrent use.
type NodePulls struct {
	now   func() time.Time
	at    *otter.Cache[nodePull, time.Time]
	count *prometheus.CounterVec
}

// nodePull is an image by its tag or its digest.
type nodePull struct {
	repository oci.Repository
	reference  string
}

// NewNodePulls registers their metric. A now of nil means time.Now.
func NewNodePulls(to prometheus.Registerer, now func() time.Time) (*NodePulls, error) {
	if now == nil {
		now = time.Now
	}
	at, err := otter.New(&otter.Options[nodePull, time.Time]{MaximumSize: maxNodePulls, Executor: func(task func()) { task() }})
	if err != nil {
		return nil, fmt.Errorf("making room for what nodes pull: %w", err)
	}
	p := &NodePulls{now: now, at: at, count: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "larder_mirror_manifests_total", Help: "Manifests that mirrors of nodes and of Docker asked for and got, by cache project.",
	}, []string{"project"})}
	to.MustRegister(p.count)
	return p, nil
}

// Note remembers that a manifest was given. It waits for nothing.
func (p *NodePulls) Note(repo oci.Repository, asked oci.Reference, given digest.Digest) {
	now := p.now()
	p.at.Set(nodePull{repo, given.String()}, now)
	if asked.ByTag() {
		p.at.Set(nodePull{repo, asked.Tag}, now)
	}
	p.count.WithLabelValues(repo.Project()).Inc()
}

// Last is when an image was asked for last: by its digest, and where that is not known by
// its tag. It is zero where that was not seen.
func (p *NodePulls) Last(repo oci.Repository, reference oci.Reference) time.Time {
	name := reference.Digest.String()
	if reference.Digest == "" {
		name = reference.Tag
	}
	at, _ := p.at.GetIfPresent(nodePull{repo, name})
	return at
}

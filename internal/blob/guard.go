package blob

import (
	"hash/maphash"
	"sync"

	"github.com/opencontainers/go-digest"
)

// guardStripes is how many groups digests fall into.
const guardStripes = 256

// Guard keeps a blob's bytes from being removed between their commit and the moment
// when metadata knows of them. Where one key may be stored again, as with files, the
// removal of an old blob would otherwise take the new one with it. All who store or
// remove blobs in one process share a Guard.
type Guard struct {
	seed    maphash.Seed
	stripes [guardStripes]sync.RWMutex
}

// NewGuard makes a Guard.
func NewGuard() *Guard { return &Guard{seed: maphash.MakeSeed()} }

// Storing is called before the commit of a blob; release, once metadata knows it.
// Others may store at the same time.
func (g *Guard) Storing(d digest.Digest) (release func()) {
	stripe := g.stripe(d)
	stripe.RLock()
	return stripe.RUnlock
}

// Removing is called before metadata forgets a blob; release, once its bytes are gone.
// Nobody stores the blob meanwhile.
func (g *Guard) Removing(d digest.Digest) (release func()) {
	stripe := g.stripe(d)
	stripe.Lock()
	return stripe.Unlock
}

func (g *Guard) stripe(d digest.Digest) *sync.RWMutex {
	return &g.stripes[maphash.String(g.seed, string(d))%guardStripes]
}

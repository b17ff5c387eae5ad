package metadata

import "sync/atomic"

const (
	// changeStripes is how many groups repositories fall into.
	changeStripes = 1024
	// unheard is the bit that every mark has while changes are not heard.
	unheard Mark = 1 << 63
)

// Mark stands for a moment: what was read at one mark holds while the mark is the same.
type Mark uint64

// Changes tells whoever keeps in memory what he read from the database when he has to
// ask again, because another process has changed it. What this process changes itself
// is not counted. While nobody can tell what others change, which is so from the loss
// of a connection to the next one, each mark differs from all others. Where there is
// one process only, as with SQLite, marks never change. The zero value is ready.
type Changes struct {
	repositories [changeStripes]atomic.Uint64
	accounts     atomic.Uint64
	access       atomic.Uint64
	credentials  atomic.Uint64
	deaf         atomic.Bool
	never        atomic.Uint64 // makes marks that differ from all others
}

// Repository is the mark of a repository's manifests, tags and visibility.
func (c *Changes) Repository(name string) Mark { return c.mark(c.stripe(name)) }

// Accounts is the mark of all users, groups, tokens and signing keys.
func (c *Changes) Accounts() Mark { return c.mark(&c.accounts) }

// Access is the mark of all roles and role bindings, and of the projects that there are.
func (c *Changes) Access() Mark { return c.mark(&c.access) }

// Credentials is the mark of the credentials for upstreams. What this process changes of
// them is counted too: they change seldom, and whoever uses them is elsewhere.
func (c *Changes) Credentials() Mark { return c.mark(&c.credentials) }

func (c *Changes) mark(of *atomic.Uint64) Mark {
	if c.deaf.Load() {
		return unheard | Mark(c.never.Add(1))
	}
	return Mark(of.Load())
}

// stripe hashes a name by FNV-1a. Who makes names collide only has some of his own read
// anew.
func (c *Changes) stripe(name string) *atomic.Uint64 {
	hash := uint32(2166136261)
	for i := range len(name) {
		hash = (hash ^ uint32(name[i])) * 16777619
	}
	return &c.repositories[hash%changeStripes]
}

// deafen is called when changes are not heard any more.
func (c *Changes) deafen() { c.deaf.Store(true) }

// hear is called when changes are heard again. What was read before may be old.
func (c *Changes) hear() {
	for i := range c.repositories {
		c.repositories[i].Add(1)
	}
	c.accounts.Add(1)
	c.access.Add(1)
	c.credentials.Add(1)
	c.deaf.Store(false)
}

// apply counts a change, as a rule one that another process has made.
func (c *Changes) apply(a announcement) {
	switch a.repository {
	case "":
		c.accounts.Add(1)
	case accessAnnounced:
		c.access.Add(1)
	case credentialsAnnounced:
		c.credentials.Add(1)
	default:
		c.stripe(a.repository).Add(1)
	}
}

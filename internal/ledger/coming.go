package ledger

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/upstream"
)

const (
	// comingFor is how long a pull is expected that was announced: a node waits for its
	// turn, and for the blobs.
	comingFor = 5 * time.Minute
	// maxComing is how many repositories are expected at once, maxComingEach how many
	// pulls of each; the oldest are forgotten first.
	maxComing     = 10_000
	maxComingEach = 8
	// maxComingText is the longest name that is kept, in bytes.
	maxComingText = 300
)

// Coming is a pull that a cluster has announced: of a pod that it has let in.
type Coming struct {
	Upstream   string `json:"upstream"`
	Repository string `json:"repository"` // by its name upstream
	// Tag and Digest are what the image is called by; one may be empty.
	Tag       string `json:"tag,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Namespace string `json:"namespace"`
	Workload  string `json:"workload,omitempty"`
}

// coming is what was announced, by the names of repositories. The zero value is ready.
type coming struct {
	mu    sync.Mutex
	by    map[comingKey][]announced // the newest last
	order []comingKey               // as they were first announced
}

type comingKey struct{ upstream, repository string }

type announced struct {
	Coming
	at time.Time
}

// Announce notes that a pull is expected: what it costs is booked to the namespace, as
// likely, by other replicas too. It waits for nothing.
func (l *Ledger) Announce(c Coming) {
	if l.expect(c) && l.untold != nil {
		l.untold.Put(announced{c, l.config.Now()})
	}
}

// expect is false for names that are too long to be any.
func (l *Ledger) expect(c Coming) bool {
	if max(len(c.Upstream), len(c.Repository), len(c.Tag), len(c.Digest), len(c.Namespace), len(c.Workload)) > maxComingText {
		return false
	}
	l.coming.add(c, l.config.Now())
	return true
}

func (c *coming) add(a Coming, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[comingKey][]announced{}
	}
	key := comingKey{a.Upstream, a.Repository}
	all, known := c.by[key]
	if !known {
		c.makeRoom(now)
		c.order = append(c.order, key)
	}
	all = slices.DeleteFunc(all, func(o announced) bool { return o.Coming == a || now.Sub(o.at) >= comingFor })
	if len(all) >= maxComingEach {
		all = slices.Delete(all, 0, 1)
	}
	c.by[key] = append(all, announced{a, now})
}

// makeRoom forgets the repositories that nobody expects any more and, where that is not
// enough, the one that was announced first.
func (c *coming) makeRoom(now time.Time) {
	gone := func() bool {
		all := c.by[c.order[0]]
		return len(c.order) >= maxComing || now.Sub(all[len(all)-1].at) >= comingFor
	}
	for len(c.order) > 0 && gone() {
		delete(c.by, c.order[0])
		c.order = c.order[1:]
	}
}

// whose finds the namespace and the workload that a call is likely for. A tag has to be
// the one that was announced; a digest may be that of a platform or a blob.
func (c *coming) whose(call upstream.Call, now time.Time) (namespace, workload string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.by[comingKey{call.Upstream, call.Repository}]
	byDigest := strings.Contains(call.Reference, ":")
	for _, a := range slices.Backward(all) {
		if now.Sub(a.at) >= comingFor {
			break
		}
		if call.Reference == "" || byDigest || call.Reference == a.Tag {
			return a.Namespace, a.Workload
		}
	}
	return "", ""
}

// attributed is a call with the namespace that it is likely for. What people ask for who are
// logged in is for nobody but them.
func (l *Ledger) attributed(c upstream.Call) upstream.Call {
	person := !c.For.Stranger() && c.For.Project == ""
	if c.Repository == "" || c.For.Namespace != "" || person {
		return c
	}
	c.For.Namespace, c.For.Workload = l.coming.whose(c, l.config.Now())
	return c
}

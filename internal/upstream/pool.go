package upstream

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// lowShare is the part of its limit, in percent, below which an account is spared while
// others have more.
const lowShare = 10

// pool holds the accounts that a registry is asked with.
type pool struct {
	configured []*account

	mu      sync.Mutex
	added   []*account
	lenders []string // whose own there are
	ever    bool     // there has been one
}

func newPool(configured []Credential) *pool {
	p := &pool{ever: len(configured) > 0}
	for i := range configured {
		p.configured = append(p.configured, newAccount(&configured[i]))
	}
	return p
}

// add puts credentials in the place of those that were added before. What is known of one
// that is the same, its password too, is known on. Gone are those that are not there any
// more.
func (p *pool) add(all []Credential) (gone []*account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.added
	p.added = make([]*account, 0, len(all))
	for _, c := range all {
		same := slices.IndexFunc(was, func(a *account) bool { return *a.credential == c })
		if same >= 0 {
			p.added = append(p.added, was[same])
			continue
		}
		p.added = append(p.added, newAccount(&c))
	}
	p.lenders = nil
	for _, c := range all {
		if c.Project != "" {
			p.lenders = append(p.lenders, c.Project)
		}
	}
	slices.Sort(p.lenders)
	p.lenders = slices.Compact(p.lenders)
	p.ever = p.ever || len(all) > 0
	for _, a := range was {
		if !slices.ContainsFunc(p.added, func(is *account) bool { return is.name == a.name }) {
			gone = append(gone, a)
		}
	}
	return gone
}

func (p *pool) used() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ever
}

// all lists the accounts as they were configured and then as they were added.
func (p *pool) all() []*account {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(p.configured, p.added)
}

func (p *pool) lending() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lenders
}

// inOrder picks accounts. They keep their order, but for those that have little left: they
// come last, and those with more of it first.
func inOrder(now time.Time, all []*account, picked func(*account) bool) []*account {
	type standing struct {
		account *account
		short   int64 // how much less than enough is left
	}
	var found []standing
	for _, a := range all {
		if picked(a) {
			found = append(found, standing{a, a.short(now)})
		}
	}
	slices.SortStableFunc(found, func(one, other standing) int { return cmp.Compare(one.short, other.short) })
	ordered := make([]*account, 0, len(found)+1)
	for _, s := range found {
		ordered = append(ordered, s.account)
	}
	return ordered
}

// short is by how much less is left than the share that is not little; 0 when more is, or
// when nothing is known of it now.
func (a *account) short(now time.Time) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.budget
	if !b.Metered || b.Window > 0 && now.Sub(b.At) >= b.Window {
		return 0
	}
	return max(0, b.Limit*lowShare/100-b.Remaining)
}

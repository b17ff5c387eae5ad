// Package fairshare shares out the pulls that an upstream gives: a part of each account is
// set aside for projects, and projects have budgets. What was spent is counted in memory,
// and kept in the database for a restart and for other processes.
package fairshare

import (
	"slices"

	"github.com/larder-registry/larder/internal/ratelimit"
)

// Plan says how the pulls of one upstream are shared out. The zero value lets everybody
// have what there is.
type Plan struct {
	Reserves []Reserve
	Budgets  []Budget
}

// Reserve is what is set aside for the members of a project, of each account that serves
// everybody.
type Reserve struct {
	Project string
	Percent int // of the account's limit
}

// Budget is how many pulls may be made for the members of a project, by whichever account.
type Budget struct {
	Project string
	Limit   ratelimit.Limit
}

// Empty tells whether nothing is shared out.
func (p Plan) Empty() bool { return len(p.Reserves)+len(p.Budgets) == 0 }

// Projects are those that the plan names, in order.
func (p Plan) Projects() []string {
	var all []string
	for _, r := range p.Reserves {
		all = append(all, r.Project)
	}
	for _, b := range p.Budgets {
		all = append(all, b.Project)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// of is how many pulls of a limit are set aside: at least one.
func (r Reserve) of(limit int64) int64 { return max(1, share(limit, r.Percent)) }

// share is so many percent of a limit, rounded up.
func share(limit int64, percent int) int64 { return (limit*int64(percent) + 99) / 100 }

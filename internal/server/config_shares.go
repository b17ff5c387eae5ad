package server

import (
	"github.com/larder-registry/larder/internal/fairshare"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// reserves reads what is set aside of an upstream's pulls.
func (r *fileReader) reserves(e entry) []fairshare.Reserve {
	items, ok := r.items(e)
	if !ok {
		return nil
	}
	var all []fairshare.Reserve
	shared, named := 0, map[string]bool{}
	for _, item := range items {
		reserve := fairshare.Reserve{}
		share := false
		r.mapping(item, fields{
			"project": func(e entry) { reserve.Project = r.sharer(e, named) },
			"share": func(e entry) {
				share = true
				if g, ok := r.text(e); ok {
					percent, err := parseLevel(g)
					if err != nil {
						r.fail(err)
					}
					reserve.Percent = percent
				}
			},
		})
		if reserve.Project == "" || !share {
			r.wrong(item, "needs a project and a share: write for example {project: prod, share: 20%}")
			continue
		}
		shared += reserve.Percent
		all = append(all, reserve)
	}
	if shared > 100 {
		r.wrong(e, "sets aside more than all: the shares of one upstream add up to 100% at most, and what they leave is for everybody")
	}
	return all
}

// budgets reads how many of an upstream's pulls projects may spend.
func (r *fileReader) budgets(e entry) []fairshare.Budget {
	items, ok := r.items(e)
	if !ok {
		return nil
	}
	var all []fairshare.Budget
	named := map[string]bool{}
	for _, item := range items {
		budget := fairshare.Budget{}
		limited := false
		r.mapping(item, fields{
			"project": func(e entry) { budget.Project = r.sharer(e, named) },
			"limit": func(e entry) {
				limited = true
				if g, ok := r.text(e); ok {
					limit, err := ratelimit.ParseLimit(g.text)
					if err != nil {
						r.fail(g.errorf("%w: write how many in which time, for example 50/6h", err))
					}
					budget.Limit = limit
				}
			},
		})
		if budget.Project == "" || !limited {
			r.wrong(item, "needs a project and a limit: write for example {project: demo, limit: 50/6h}")
			continue
		}
		all = append(all, budget)
	}
	return all
}

// sharer reads the name of a project that is not named yet.
func (r *fileReader) sharer(e entry, named map[string]bool) string {
	g, ok := r.text(e)
	switch {
	case !ok:
	case oci.CheckProject(g.text) != nil:
		r.fail(g.errorf("is not a project: write its name alone, for example demo"))
	case named[g.text]:
		r.fail(g.errorf("is named twice: keep one of them"))
	}
	named[g.text] = true
	return g.text
}

package server

import (
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/pulllimit"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// PullLimits says how much callers may pull and ask for. The zero value limits nobody.
type PullLimits struct {
	pulllimit.Rules
	// Overall is a limit on all requests of each address.
	Overall ratelimit.Limit
}

const unlimited = "unlimited"

func (r *fileReader) pullLimits(e entry) {
	c := &r.loader.config.PullLimits
	r.mapping(e, fields{
		"anonymous":     func(e entry) { r.limit(e, &c.Anonymous) },
		"authenticated": func(e entry) { r.limit(e, &c.Authenticated) },
		"overall":       func(e entry) { r.limit(e, &c.Overall) },
		"serviceAccounts": func(e entry) {
			var l ratelimit.Limit
			if r.limit(e, &l) {
				c.ServiceAccounts = &l
			}
		},
		"exceptions": r.pullExceptions,
	})
}

// limit reads a limit, as in 100/6h, or that there is none.
func (r *fileReader) limit(e entry, to *ratelimit.Limit) bool {
	g, ok := r.text(e)
	if !ok {
		return false
	}
	if g.text == unlimited {
		*to = ratelimit.Limit{}
		return true
	}
	l, err := ratelimit.ParseLimit(g.text)
	if err != nil {
		r.fail(g.errorf("%w: write how many in which time, for example 100/6h, or %s", err, unlimited))
		return false
	}
	*to = l
	return true
}

func (r *fileReader) pullExceptions(e entry) {
	items, ok := r.items(e)
	if !ok {
		return
	}
	c := &r.loader.config.PullLimits
	c.Projects, c.Groups = map[string]ratelimit.Limit{}, map[string]ratelimit.Limit{}
	for _, item := range items {
		r.pullException(item)
	}
}

// pullException reads the limit of one project or one group.
func (r *fileReader) pullException(e entry) {
	c := &r.loader.config.PullLimits
	var project, group given
	var limit ratelimit.Limit
	var limited, valid bool
	r.mapping(e, fields{
		"project": func(e entry) { project, _ = r.text(e) },
		"group":   func(e entry) { group, _ = r.text(e) },
		"limit":   func(e entry) { limited, valid = true, r.limit(e, &limit) },
	})
	to, of := c.Projects, project
	if group.text != "" {
		to, of = c.Groups, group
	}
	_, twice := to[of.text]
	switch {
	case (project.text == "") == (group.text == ""):
		r.wrong(e, "needs a project or a group, and not both: write for example {group: devs, limit: 1000/6h}")
	case project.text != "" && oci.CheckProject(project.text) != nil:
		r.fail(project.errorf("is not a project: write its name alone, for example demo"))
	case twice:
		r.fail(of.errorf("has an exception already: keep one of them"))
	case !limited:
		r.wrong(e, "needs a limit: write for example limit: 1000/6h, or limit: "+unlimited)
	case valid:
		to[of.text] = limit
	}
}

package server

import (
	"time"
)

// fromFile reads the configuration file, if one was named.
func (l *loader) fromFile(source given) {
	if source.text == "" {
		return
	}
	text, err := l.readFile(source.text)
	if err != nil {
		l.fail(source.errorf("cannot be read: %w", err))
		return
	}
	if len(text) > maxConfigSize {
		l.fail(source.errorf("is larger than %d bytes", maxConfigSize))
		return
	}
	reader := &fileReader{yamlFile: yamlFile{name: source.text, fail: l.fail}, loader: l}
	if root, ok := reader.parse(text); ok {
		reader.root(root)
	}
}

// fileReader carries the values of a file over to the loader: one function for
// each mapping, which lists its keys.
type fileReader struct {
	yamlFile
	loader *loader
}

func (r *fileReader) root(e entry) {
	c := &r.loader.config
	r.mapping(e, fields{
		"listen":          r.setting,
		"data":            r.setting,
		"database":        r.setting,
		"databaseFile":    r.databaseFile,
		"storage":         r.setting,
		"publicURL":       r.setting,
		"log":             r.log,
		"tls":             r.tls,
		"trustedProxies":  func(e entry) { c.TrustedProxies = list(&r.yamlFile, e, parseNetwork) },
		"shutdownTimeout": func(e entry) { r.duration(e, &c.ShutdownTimeout) },
		"cacheSize":       r.cacheSize,
		"access":          r.access,
		"metrics":         r.metrics,
		"kubernetes":      r.kubernetes,
		"projects": func(e entry) {
			r.mapping(e, fields{"selfProvision": func(e entry) { r.boolean(e, &c.Projects.SelfProvision) }})
		},
		"replica": func(e entry) {
			r.mapping(e, fields{"advertise": r.setting})
		},
		"mirror":   r.mirror,
		"ciTokens": r.ciTokens,
		"ledger":   r.ledger,
		"credentialKeyFile": func(e entry) {
			if g, ok := r.text(e); ok {
				r.loader.credentialKeyFile = g
			}
		},
		"oidc":       r.oidc,
		"upstreams":  r.upstreams,
		"pullLimits": r.pullLimits,
		"webhooks": func(e entry) {
			r.mapping(e, fields{"allow": func(e entry) { c.Webhooks.Allow = list(&r.yamlFile, e, parseNetwork) }})
		},
	})
}

// setting reads a key that flags and variables know too.
func (r *fileReader) setting(e entry) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	for _, s := range settings() {
		if s.key == e.key {
			r.loader.apply(s, g)
		}
	}
}

func (r *fileReader) access(e entry) {
	g, ok := r.text(e)
	switch {
	case !ok:
	case g.text == AccessLocal, g.text == AccessKubernetes:
		r.loader.config.Access = g.text
	default:
		r.fail(g.errorf("is not known: write local or kubernetes"))
	}
}

func (r *fileReader) log(e entry) {
	r.mapping(e, fields{"level": r.setting, "format": r.setting})
}

func (r *fileReader) metrics(e entry) {
	r.mapping(e, fields{"listen": func(e entry) {
		if g, ok := r.text(e); ok {
			r.loader.given[e.key] = g
			r.loader.setAddress(&r.loader.config.Metrics.Listen, g)
		}
	}})
}

func (r *fileReader) mirror(e entry) {
	r.mapping(e, fields{
		"listen": r.setting,
		"from":   func(e entry) { r.loader.config.Mirror.From = list(&r.yamlFile, e, parseNetwork) },
	})
}

func (r *fileReader) tls(e entry) {
	c := &r.loader.config.TLS
	r.loader.given[e.key] = given{key: e.key, from: r.from(e)}
	r.mapping(e, fields{
		"certFile":   func(e entry) { r.path(e, &c.CertFile) },
		"keyFile":    func(e entry) { r.path(e, &c.KeyFile) },
		"selfSigned": func(e entry) { r.boolean(e, &c.SelfSigned) },
		"acme":       r.acme,
	})
}

func (r *fileReader) path(e entry, to *string) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	if g.text == "" {
		r.fail(g.errorf("is not a file: write its path"))
		return
	}
	*to = g.text
}

func (r *fileReader) duration(e entry, to *time.Duration) {
	g, ok := r.text(e)
	if !ok {
		return
	}
	d, err := parseDuration(g)
	if err != nil {
		r.fail(err)
		return
	}
	*to = d
}

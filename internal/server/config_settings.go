package server

import "log/slog"

// setting is a key that a flag and an environment variable can set as well as the
// file.
type setting struct {
	key  string
	flag string
	env  string
	// usage is the flag's help; the word in backquotes stands for its value.
	usage string
	set   func(*loader, given)
}

func settings() []setting {
	return []setting{
		{"listen", "listen", "LARDER_LISTEN", "listen on `ADDR`; outside loopback TLS is needed, or --insecure-http (default 127.0.0.1:5000)", (*loader).setListen},
		{"mirror.listen", "mirror-listen", "LARDER_MIRROR_LISTEN", "serve Docker's registry-mirrors on `ADDR`, where /v2/library/nginx means Docker Hub's (default off)", (*loader).setMirrorListen},
		{"data", "data", "LARDER_DATA", "keep everything under `DIR` (default ./larder-data)", (*loader).setData},
		{"database", "database", "LARDER_DATABASE", "keep metadata in PostgreSQL at `URL`, postgres://USER@HOST/DATABASE; a password belongs in the environment (default SQLite under the data folder)", (*loader).setDatabase},
		{"storage", "storage", "LARDER_STORAGE", "keep blobs in S3 at `URL`, s3://BUCKET/PREFIX?endpoint=URL&region=R&path-style=true, with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment (default files under the data folder)", (*loader).setStorage},
		{"publicURL", "public-url", "LARDER_PUBLIC_URL", "the `URL` by which clients reach this server (default taken from each request)", (*loader).setPublicURL},
		{"replica.advertise", "replica-advertise", "LARDER_REPLICA_ADVERTISE", "the `URL` of this server's main listener as other replicas reach it, http://HOST:PORT or https://HOST:PORT (default none)", (*loader).setAdvertise},
		{"log.level", "log-level", "LARDER_LOG_LEVEL", "log from `LEVEL` on: debug, info, warn or error (default info)", (*loader).setLogLevel},
		{"log.format", "log-format", "LARDER_LOG_FORMAT", "log in `FORMAT`: text or json (default text on a terminal, else json)", (*loader).setLogFormat},
	}
}

// apply sets a value and notes where it came from.
func (l *loader) apply(s setting, g given) {
	g.key = s.key
	l.given[s.key] = g
	s.set(l, g)
}

func (l *loader) setListen(g given)       { l.setAddress(&l.config.Listen, g) }
func (l *loader) setMirrorListen(g given) { l.setAddress(&l.config.Mirror.Listen, g) }

func (l *loader) setAddress(to *string, g given) {
	if err := checkAddress(g); err != nil {
		l.fail(err)
		return
	}
	*to = g.text
}

func (l *loader) setData(g given) {
	if g.text == "" {
		l.fail(g.errorf("is not a folder: write its path"))
		return
	}
	l.config.Data = g.text
}

func (l *loader) setPublicURL(g given) {
	u, err := parseBaseURL(g)
	if err != nil {
		l.fail(err)
		return
	}
	l.config.PublicURL = u
}

func (l *loader) setAdvertise(g given) {
	if g.text == "" {
		return // as it stands in an example of the file
	}
	address, err := parseBaseURL(g)
	if err != nil {
		l.fail(err)
		return
	}
	l.config.Replica.Advertise = address
}

func (l *loader) setLogLevel(g given) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, known := levels[g.text]
	if !known {
		l.fail(g.errorf("is not a log level: write debug, info, warn or error"))
		return
	}
	l.config.Log.Level = level
}

func (l *loader) setLogFormat(g given) {
	if g.text != "text" && g.text != "json" {
		l.fail(g.errorf("is not a log format: write text or json"))
		return
	}
	l.config.Log.Format = g.text
}

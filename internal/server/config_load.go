package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	maxConfigSize   = 1 << 20  // bytes
	maxPasswordSize = 64 << 10 // bytes
)

// Load reads the configuration: a flag beats the environment, the environment
// beats the file, the file beats the default. lookupEnv is os.LookupEnv and
// readFile is ReadFile, or what a test puts in their place; an empty variable
// counts as not set. Paths in the file are relative to the working folder, as
// those of flags are.
//
// The error lists everything found wrong, one line each: what was given, where,
// and what is allowed. It never holds a secret.
func Load(flags *Flags, lookupEnv func(string) (string, bool), readFile func(string) ([]byte, error)) (Config, error) {
	l := &loader{
		config:    Defaults(),
		upstreams: []upstreamEntry{{upstream: newUpstream(hubName), from: "the default"}},
		readFile:  readFile,
		given:     map[string]given{},
	}
	l.fromFile(configFile(flags, lookupEnv))
	l.fromEnvironment(lookupEnv)
	l.fromFlags(flags)
	l.storageKeys(lookupEnv)
	l.oidcSecret(lookupEnv)
	l.credentialKey(lookupEnv)
	if len(l.errs) == 0 {
		l.validate()
	}
	if err := errors.Join(l.errs...); err != nil {
		return Config{}, err
	}
	l.config.Upstreams = make([]Upstream, 0, len(l.upstreams))
	for _, e := range l.upstreams {
		l.config.Upstreams = append(l.config.Upstreams, e.upstream)
	}
	return l.config, nil
}

// ReadFile reads a whole file of at most 1 MiB.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfigSize {
		return nil, fmt.Errorf("reading %s: it is larger than %d bytes", name, maxConfigSize)
	}
	return text, nil
}

// loader gathers the configuration from its four sources.
type loader struct {
	config    Config
	upstreams []upstreamEntry // what becomes config.Upstreams
	readFile  func(string) ([]byte, error)
	given     map[string]given // by key: the text that won, and where it stood
	errs      []error

	// These are read once it is known that the environment has no such secret.
	oidcSecretFile, credentialKeyFile given
}

// upstreamEntry is an upstream and the place where it was written down.
type upstreamEntry struct {
	upstream Upstream
	from     string
}

func (l *loader) fail(err error) { l.errs = append(l.errs, err) }

// given is a value as a person wrote it.
type given struct {
	key  string // dotted, as in the file
	text string
	from string // "flag --listen", "environment variable LARDER_LISTEN", "larder.yaml line 3"
}

// errorf says what was given, where, and what the format adds: the matter and
// what is allowed.
func (g given) errorf(format string, args ...any) error {
	return fmt.Errorf("%s %q (%s) %w", g.key, shown(g.text), g.from, fmt.Errorf(format, args...))
}

// shown is the part of a value that an error may repeat: nothing before an @ or
// after a question mark, where URLs keep secrets, and no more than a line.
func shown(text string) string {
	const most = 200
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		scheme, _, found := strings.Cut(text, "://")
		if !found || len(scheme) > at {
			scheme = ""
		} else {
			scheme += "://"
		}
		text = scheme + "..." + text[at:]
	}
	if before, _, found := strings.Cut(text, "?"); found {
		text = before + "?..."
	}
	if len(text) > most {
		text = text[:most] + "..."
	}
	return text
}

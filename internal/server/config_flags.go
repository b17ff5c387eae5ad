package server

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the command line's part of the configuration.
type Flags struct {
	set       *pflag.FlagSet
	upstreams []string
}

// BindFlags adds the flags of `larder serve` to a set, which is parsed before
// Load is called.
func BindFlags(set *pflag.FlagSet) *Flags {
	f := bindSettings(set, func(setting) bool { return true })
	set.StringArrayVar(&f.upstreams, "upstream", nil, "mirror the registry at a URL as project NAME: `NAME=URL`; again for each one (default docker-hub=https://registry-1.docker.io)")
	set.Bool("insecure-http", false, "serve plain HTTP outside loopback: a proxy or the network takes care of encryption")
	return f
}

// BindStoreFlags adds those flags that say where everything is kept, for commands
// that work on the data of a server that is stopped.
func BindStoreFlags(set *pflag.FlagSet) *Flags {
	return bindSettings(set, func(s setting) bool {
		return slices.Contains([]string{"data", "database", "storage"}, s.key)
	})
}

func bindSettings(set *pflag.FlagSet, wanted func(setting) bool) *Flags {
	set.String("config", "", "read the configuration from the YAML `FILE`")
	for _, s := range settings() {
		if wanted(s) {
			set.String(s.flag, "", s.usage)
		}
	}
	return &Flags{set: set}
}

// configFile is the name of the file to read and where that name was given; an
// empty name means none.
func configFile(flags *Flags, lookupEnv func(string) (string, bool)) given {
	const key = "configuration file"
	if name, set := flags.text("config"); set {
		return given{key: key, text: name, from: "flag --config"}
	}
	name, _ := lookupSet(lookupEnv, "LARDER_CONFIG")
	return given{key: key, text: name, from: "environment variable LARDER_CONFIG"}
}

// text is the value of a flag that was given on the command line.
func (f *Flags) text(name string) (string, bool) {
	flag := f.set.Lookup(name)
	if flag == nil || !flag.Changed {
		return "", false
	}
	return flag.Value.String(), true
}

func (l *loader) fromFlags(flags *Flags) {
	for _, s := range settings() {
		if text, set := flags.text(s.flag); set {
			l.apply(s, given{text: text, from: "flag --" + s.flag})
		}
	}
	insecure, _ := flags.text("insecure-http")
	l.config.InsecureHTTP = insecure == "true"
	if len(flags.upstreams) > 0 {
		l.upstreamsFromFlags(flags.upstreams)
	}
}

// upstreamsFromFlags replaces the list of upstreams by the one of the command
// line. What the list had under the same name keeps its settings but the URL.
func (l *loader) upstreamsFromFlags(texts []string) {
	const from = "flag --upstream"
	before := l.upstreams
	l.upstreams = nil
	for _, text := range texts {
		name, address, found := strings.Cut(text, "=")
		if !found {
			l.fail(given{key: "upstream", text: text, from: from}.errorf("has no URL: write NAME=URL, for example docker-hub=https://registry-1.docker.io"))
			continue
		}
		if err := checkUpstreamName(given{key: "upstream name", text: name, from: from}); err != nil {
			l.fail(err)
		}
		u, err := parseBaseURL(given{key: "URL of upstream " + shown(name), text: address, from: from})
		if err != nil {
			l.fail(err)
			continue
		}
		entry := upstreamEntry{upstream: newUpstream(name), from: from}
		if i := slices.IndexFunc(before, func(e upstreamEntry) bool { return e.upstream.Name == name }); i >= 0 {
			entry.upstream = before[i].upstream
		}
		entry.upstream.URL = u
		l.upstreams = append(l.upstreams, entry)
	}
}

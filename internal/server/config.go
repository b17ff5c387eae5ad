// Package server puts Larder together: it reads the configuration, opens the data
// folder, makes the certificates and the listeners, wires the floors below to one
// another, and drains them at the end.
package server

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/larder-registry/larder/internal/fairshare"
	"github.com/larder-registry/larder/internal/gc"
	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/warm"
)

const (
	hubName = "docker-hub"
	// hubRegistry is the name that makes an upstream Docker Hub, whatever its URL.
	hubRegistry = "docker.io"
)

// Config is the whole configuration of one server, as Load has checked it.
type Config struct {
	Listen string // HOST:PORT of the main listener
	// InsecureHTTP says that plain HTTP outside loopback is meant: a proxy or the
	// network takes care.
	InsecureHTTP    bool
	Data            string   // folder that holds everything that is not elsewhere
	Database        Password // URL of PostgreSQL; empty: SQLite in the data folder
	Storage         *Storage // object storage, with its keys; nil: files in the data folder
	CacheSize       gc.Limit // of what cache projects keep
	PublicURL       *url.URL // scheme and host only; nil: taken from each request
	TLS             TLS
	TrustedProxies  []netip.Prefix // whose forwarded headers are believed
	ShutdownTimeout time.Duration  // what transfers get to end after SIGTERM
	Log             Log
	Metrics         Metrics
	Access          string // AccessLocal or AccessKubernetes
	Kubernetes      Kubernetes
	Projects        Projects
	Replica         Replica
	Mirror          Mirror
	CITokens        []CIToken
	Ledger          Ledger
	Webhooks        Webhooks
	OIDC            *OIDC // where people log in; nil: with passwords only
	PullLimits      PullLimits
	CredentialKey   Password   // that passwords of upstreams are encrypted by; empty: see credentialKey
	Upstreams       []Upstream // names and registries are unique
}

// TLS says where the server certificate comes from: from files, made by Larder
// itself, from an authority that issues them by itself, or from nowhere, which means
// plain HTTP.
type TLS struct {
	CertFile, KeyFile string // PEM; both or none
	SelfSigned        bool
	ACME              ACME
}

// Enabled tells whether the listeners speak TLS.
func (t TLS) Enabled() bool { return t.SelfSigned || t.CertFile != "" || len(t.ACME.Domains) > 0 }

// ACME says who issues the server's certificates, and for which names.
type ACME struct {
	Domains   []string // lower-case host names; empty: off
	Email     string   // where the authority writes to; may be empty
	Directory *url.URL // of the authority, https; nil: Let's Encrypt
	CA        string   // PEM file with further roots for it; may be empty
}

// Log says what is logged, and how.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"; empty: text on a terminal, else json
}

// Metrics says where metrics are served.
type Metrics struct {
	Listen string // HOST:PORT; empty: on the main listener
}

// What decides who may do what.
const (
	AccessLocal      = "local"      // roles and bindings that are kept here
	AccessKubernetes = "kubernetes" // those of a cluster
)

// Projects says who may make projects.
type Projects struct {
	SelfProvision bool // every logged-in user may, and becomes their admin
}

// Replica says how several processes on one database and storage find each other.
type Replica struct {
	Advertise *url.URL // scheme and host by which others reach this one; nil: they do not
}

// Mirror is the listener on which names without a project are Docker Hub's.
type Mirror struct {
	Listen string         // HOST:PORT; empty: off
	From   []netip.Prefix // who may use it and pull anonymously from caches; empty: all
}

// CIToken says which tokens of a pipeline's issuer are trusted, and as whom.
type CIToken struct {
	Issuer, Audience string
	Claims           map[string]string // patterns, as path.Match has them; at least one
	User             string            // the account, as a rule a service account
	CA               string            // PEM file with further roots; may be empty
}

// Ledger says how long the pull ledger is kept.
type Ledger struct {
	Keep time.Duration // of single calls; the sums of hours are kept for longer
}

// Webhooks says where deliveries may go beside what is public.
type Webhooks struct {
	Allow []netip.Prefix
}

// Upstream is one remote registry, and the cache project of the same name.
type Upstream struct {
	Name string
	URL  *url.URL // http or https, with a host and nothing more
	// Registries are the names by which images and ?ns= mean this upstream.
	Registries  []string
	Credentials []Credential
	TagTTL      time.Duration  // how long a tag is served without asking upstream
	Allow, Deny []string       // patterns of repositories; see Allows
	Realms      []string       // further hosts that may ask for the credentials
	CA          string         // PEM file with further roots; may be empty
	WarnAt      []int          // percent of a pull limit; what is left is warned of there
	Shares      fairshare.Plan // who may have how much of a pull limit
	Refresh     warm.Refresh   // which tags are kept fresh
}

// Hub tells whether the upstream is Docker Hub: its registries hold docker.io.
func (u Upstream) Hub() bool { return slices.Contains(u.Registries, hubRegistry) }

// Credential is one account at an upstream.
type Credential struct {
	Username     string
	PasswordFile string
	Password     Password // what PasswordFile held at load, without the line's end
}

// Password is a secret that no fmt verb, log handler or encoder shows. Convert it
// to a string to use it.
type Password string

const hidden = "[hidden]"

// Format writes a placeholder, whatever the verb.
func (Password) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText returns a placeholder.
func (Password) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Defaults is the configuration of `larder serve` without any argument.
func Defaults() Config {
	return Config{
		Listen:          "127.0.0.1:5000",
		Data:            "./larder-data",
		CacheSize:       gc.Limit{Percent: 80},
		ShutdownTimeout: 30 * time.Second,
		Kubernetes:      Kubernetes{OptOut: defaultOptOut()},
		Log:             Log{Level: slog.LevelInfo},
		Access:          AccessLocal,
		Projects:        Projects{SelfProvision: true},
		Ledger:          Ledger{Keep: ledger.Keep},
		Upstreams:       []Upstream{newUpstream(hubName).withDefaults()},
	}
}

// newUpstream is an upstream of which only the name has been given.
func newUpstream(name string) Upstream {
	return Upstream{Name: name, TagTTL: time.Minute, Allow: []string{"*"}, WarnAt: []int{50, 20, 5}}
}

// withDefaults fills in what was not given and depends on the name. Registries
// given as an empty list stay empty.
func (u Upstream) withDefaults() Upstream {
	if u.Name != hubName {
		if u.Registries == nil && u.URL != nil {
			u.Registries = []string{u.URL.Host}
		}
		return u
	}
	if u.URL == nil {
		u.URL = &url.URL{Scheme: "https", Host: "registry-1.docker.io"}
	}
	if u.Registries == nil {
		u.Registries = []string{hubRegistry, "index.docker.io", "registry-1.docker.io"}
	}
	return u
}

package hubsim

import (
	"errors"
	"fmt"
	"time"
)

// Shape says which kind of registry is simulated.
type Shape int

const (
	// DockerHub meters pulls, answers 401 for private and missing repositories
	// alike, and knows no referrers API.
	DockerHub Shape = iota
	// Generic behaves as quay.io or ghcr.io do: no pull limits and no headers
	// about them, 404 NAME_UNKNOWN for a missing repository, 403 DENIED for a
	// private one, and the referrers API of OCI Distribution 1.1.
	Generic
)

// Unmetered is the limit of who has none and sees no rate-limit headers.
const Unmetered = -1

// Defaults of Options.
const (
	DefaultAnonymousLimit = 100
	DefaultAccountLimit   = 200
	DefaultWindow         = 6 * time.Hour
	DefaultTokenLife      = 5 * time.Minute
	DefaultLinkLife       = time.Minute
)

// Options says how the simulation behaves. The zero value is Docker Hub over
// plain HTTP on free ports, with the limits that Docker documents.
type Options struct {
	Shape Shape

	// TLS serves HTTPS (and HTTP/2) with certificates of a new authority; see
	// Hub.CAPEM.
	TLS bool

	// RegistryAddr, AuthAddr and CDNAddr are the addresses to listen on.
	// Default: 127.0.0.1:0, a free port.
	RegistryAddr, AuthAddr, CDNAddr string

	// Hostname is what the three origins call themselves in URLs, and what
	// their certificates are for besides loopback, for example localhost.
	// Default: the IP address that they listen on.
	Hostname string

	// TokensOnRegistry puts the token service at /token of the registry's own
	// origin. DirectBlobs serves blobs there too, without a redirect.
	TokensOnRegistry, DirectBlobs bool

	// Referrers turns the referrers API on in the DockerHub shape, where it
	// answers 404 otherwise. Generic always has it.
	Referrers bool

	// AnonymousLimit and AccountLimit are the manifest GETs allowed in any
	// Window, for each address and each account. 0 takes the default,
	// Unmetered removes the limit. Generic meters nothing.
	AnonymousLimit, AccountLimit int
	Window                       time.Duration

	// TokenLife and LinkLife bound how long a token and a link to a blob on
	// the CDN are good.
	TokenLife, LinkLife time.Duration

	// TagPage is the most tags listed in one answer; 0 lists all.
	TagPage int

	// Accounts may ask for tokens with their password.
	Accounts []Account

	// BlobLatency passes before each answer that carries a blob's bytes;
	// BlobBandwidth limits each of them, in bytes per second (0: no limit).
	BlobLatency   time.Duration
	BlobBandwidth int64

	// Clock is asked for the time wherever limits, tokens and links depend on
	// it. Default: time.Now. It must be safe for concurrent use.
	Clock func() time.Time
}

// Account is somebody who can log in.
type Account struct {
	Username, Password string
	// Repositories are the private repositories that the account may read.
	Repositories []string
	// Limit overrides Options.AccountLimit unless 0; Unmetered is a paid
	// account.
	Limit int
}

func (o Options) withDefaults() (Options, error) {
	o.RegistryAddr = orDefault(o.RegistryAddr, "127.0.0.1:0")
	o.AuthAddr = orDefault(o.AuthAddr, "127.0.0.1:0")
	o.CDNAddr = orDefault(o.CDNAddr, "127.0.0.1:0")
	o.AnonymousLimit = orDefault(o.AnonymousLimit, DefaultAnonymousLimit)
	o.AccountLimit = orDefault(o.AccountLimit, DefaultAccountLimit)
	o.Window = orDefault(o.Window, DefaultWindow)
	o.TokenLife = orDefault(o.TokenLife, DefaultTokenLife)
	o.LinkLife = orDefault(o.LinkLife, DefaultLinkLife)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Window < 0 || o.TokenLife < 0 || o.LinkLife < 0 || o.BlobLatency < 0 || o.BlobBandwidth < 0 || o.TagPage < 0 {
		return Options{}, errors.New("a duration, bandwidth or page size is negative")
	}
	known := map[string]bool{}
	for _, account := range o.Accounts {
		if account.Username == "" || known[account.Username] {
			return Options{}, fmt.Errorf("account name %q is empty or used twice", account.Username)
		}
		known[account.Username] = true
	}
	return o, nil
}

func (o Options) account(username string) (Account, bool) {
	for _, account := range o.Accounts {
		if account.Username == username {
			return account, true
		}
	}
	return Account{}, false
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/larder-registry/larder/internal/oci"
)

// Credential is a user name and a password or access token. It prints without the
// password.
type Credential struct {
	Username, Password string
	// Project is whose own it is; "" for one that serves everybody.
	Project string
}

// String names the credential: by its user name, after the project whose own it is.
func (c Credential) String() string {
	if c.Project == "" {
		return c.Username
	}
	return c.Project + "/" + c.Username
}

// GoString keeps the password out of %#v.
func (c Credential) GoString() string { return "upstream.Credential{" + c.String() + "}" }

// LogValue keeps the password out of logs.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Auth says as whom a request is made.
type Auth int

const (
	// Anonymous uses no credential, whatever there are.
	Anonymous Auth = iota
	// Any uses the asker's own credentials, then those that serve everybody, and no
	// credential at last: of each kind the first that is neither resting nor set aside,
	// then the next.
	Any
	// Own uses the asker's own credentials alone.
	Own
	// Shared uses those alone that serve everybody.
	Shared
	// Every uses all credentials, whosever they are.
	Every
)

// Asker says as whom a request is made, and on whose behalf.
type Asker struct {
	Auth Auth
	For  oci.Caller
	// Projects are those whose own credentials are the asker's.
	Projects []string
}

// For is a on behalf of a caller, without credentials of its own.
func (a Auth) For(caller oci.Caller) Asker { return Asker{Auth: a, For: caller} }

// With is the asker with the own credentials of projects.
func (a Asker) With(projects ...string) Asker {
	a.Projects = projects
	return a
}

// anonymousName is what metrics and logs call requests without a credential.
const anonymousName = "anonymous"

// account is a credential, or the lack of one, and what is known of its standing
// with the upstream.
type account struct {
	name       string
	credential *Credential // nil for strangers

	// first is held while a credential that never worked is being tried: a wrong
	// password must not be sent by many at once, since that locks accounts.
	first chan struct{}
	// asking is held by who asks what the account has left, before a pull.
	asking chan struct{}

	mu      sync.Mutex
	proven  bool
	refused bool
	blocked string // see Budget
	pulls   rest   // holds back what counts as a pull
	all     rest   // holds back everything
	budget  Budget
}

// rest is a time until which the upstream is not asked.
type rest struct {
	until time.Time
	// guessed is true when the upstream did not say how long.
	guessed bool
}

func newAccount(credential *Credential) *account {
	a := &account{name: anonymousName, credential: credential, first: make(chan struct{}, 1), asking: make(chan struct{}, 1)}
	if credential != nil {
		a.name = credential.String()
	}
	return a
}

func (a *account) anonymous() bool { return a.credential == nil }

// basic is the value of an Authorization header (RFC 7617, §2).
func (a *account) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.credential.Username+":"+a.credential.Password))
}

// present runs use, which shows the credential to the upstream. As long as the
// credential has not worked once, one at a time does so, and none any more after a
// refusal: that is errRefused. Use returns whether the upstream took the credential.
// Nobody waits for a turn longer than patience: that is errStalled.
func (a *account) present(ctx context.Context, patience time.Duration, use func() (taken bool, err error)) error {
	if a.anonymous() || a.standing().proven {
		_, err := use()
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case a.first <- struct{}{}:
		defer func() { <-a.first }()
	case <-timer.C:
		return errStalled
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if a.standing().refused {
		return errRefused
	}
	taken, err := use()
	if taken {
		a.mu.Lock()
		a.proven = true
		a.mu.Unlock()
	}
	return err
}

// block notes the token service that must not see the credential, or none.
func (a *account) block(host string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocked = host
}

type standing struct{ proven, refused bool }

func (a *account) standing() standing {
	a.mu.Lock()
	defer a.mu.Unlock()
	return standing{a.proven, a.refused}
}

// setAside marks the credential as refused; it is false when that was known.
func (a *account) setAside() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.refused
	a.refused = true
	return !was
}

// resting tells until when the account rests. Only what counts as a pull rests
// after a pull was refused.
func (a *account) resting(now time.Time, counted bool) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	until := a.all.until
	if counted && a.pulls.until.After(until) {
		until = a.pulls.until
	}
	return until, until.After(now)
}

func (a *account) putToRest(r rest, counted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if counted {
		a.pulls = r
	} else {
		a.all = r
	}
}

// accounts lists whom to try, in order.
func (r *Registry) accounts(as Asker) []*account {
	now, all := r.config.Now(), r.pool.all()
	own := func(a *account) bool {
		return a.credential.Project != "" && slices.Contains(as.Projects, a.credential.Project)
	}
	shared := func(a *account) bool { return a.credential.Project == "" }
	switch as.Auth {
	case Any:
		return slices.Concat(inOrder(now, all, own), inOrder(now, all, shared), []*account{r.stranger})
	case Own:
		return inOrder(now, all, own)
	case Shared:
		return inOrder(now, all, shared)
	case Every:
		return all
	}
	return []*account{r.stranger}
}

// Lenders are the projects that have credentials of their own, in order.
func (r *Registry) Lenders() []string { return r.pool.lending() }

// Shares are the projects that the upstream's pulls are shared out among, in order.
func (r *Registry) Shares() []string {
	if r.config.Gate == nil {
		return nil
	}
	return r.config.Gate.Projects()
}

// HasShared tells whether there is a credential that serves everybody.
func (r *Registry) HasShared() bool { return len(r.accounts(Asker{Auth: Shared})) > 0 }

// OwnName names the credentials that a project has of its own, as they are now: it is
// another one when there are others. It is empty where there are none.
func (r *Registry) OwnName(project string) string {
	accounts := r.accounts(Asker{Auth: Own, Projects: []string{project}})
	if len(accounts) == 0 {
		return ""
	}
	names := make([]string, 0, len(accounts))
	for _, a := range accounts {
		names = append(names, a.credential.Username)
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return project + "/" + hex.EncodeToString(sum[:8])
}

// HasCredentials tells whether there is any credential, or has been since the registry
// was made: what is being fetched may have been asked for with one that is gone.
func (r *Registry) HasCredentials() bool { return r.pool.used() }

// refuse sets a credential aside for as long as it is there, and says so once.
func (r *Registry) refuse(a *account, by string) {
	if !a.setAside() {
		return
	}
	r.metrics.refused.WithLabelValues(r.config.Name, a.name).Set(1)
	r.log.Error("the upstream refused a credential: it is not used any more until it is corrected: in the configuration, which is then reloaded, or with larder upstream credential add",
		"upstream", r.config.Name, "credential", a.name, "refused by", by)
	if r.config.Refused != nil {
		r.config.Refused(*a.credential, by)
	}
}

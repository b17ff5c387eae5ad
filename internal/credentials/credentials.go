// Package credentials keeps the credentials for upstreams that are added in flight. Their
// passwords are encrypted by a key that is not where they are kept.
package credentials

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/upstream"
)

// Bounds of what is kept.
const (
	// Most is how many one project, or everybody, may have for one upstream.
	Most = 20
	// maxUsername and maxPassword are in bytes.
	maxUsername = 255
	maxPassword = 4096
)

// Errors that say what is wrong with a credential that is to be kept.
var (
	ErrUsername = fmt.Errorf("the user name must be of 1 to %d letters, digits and signs, without spaces and colons", maxUsername)
	ErrPassword = fmt.Errorf("the password must be of 1 to %d bytes, without control characters", maxPassword)
	// ErrNoKey says that there is no key to encrypt passwords by.
	ErrNoKey = errors.New("there is no key to encrypt passwords by")
)

// Listed is a credential without its password, and how it stands.
type Listed struct {
	metadata.UpstreamCredential
	// Configured is true for one that stands in the configuration; then nobody has created
	// it, and there are no times.
	Configured bool
	// Unreadable is true when its password cannot be read, Used when it is one of those
	// that its upstream is asked with. Then Budget tells what the upstream said.
	Unreadable, Used bool
	Budget           upstream.Budget
}

// Store keeps the credentials with their passwords encrypted.
type Store interface {
	Put(ctx context.Context, c metadata.UpstreamCredential, most int) (added bool, err error)
	All(ctx context.Context) ([]metadata.UpstreamCredential, error)
	Delete(ctx context.Context, upstream, project, username string) error
}

// Keeper keeps credentials. It is safe for concurrent use.
type Keeper struct {
	store Store
	key   KeySource
	now   func() time.Time
}

// New makes a Keeper on a store. A now of nil means time.Now.
func New(store Store, key KeySource, now func() time.Time) *Keeper {
	if now == nil {
		now = time.Now
	}
	return &Keeper{store: store, key: key, now: now}
}

// Put keeps a credential for an upstream in the name of creator, in place of the one with
// the same user name. Its errors wrap those above, metadata.ErrNotFound when there is no
// such project, and metadata.ErrTooMany.
func (k *Keeper) Put(ctx context.Context, to string, c upstream.Credential, creator string) (added bool, err error) {
	if err := check(c); err != nil {
		return false, err
	}
	secret, err := k.key(true)
	if err != nil {
		return false, err
	}
	sealed, err := seal(secret, ofUpstreams, binding(to, c.Project, c.Username), []byte(c.Password))
	if err != nil {
		return false, err
	}
	now := k.now()
	return k.store.Put(ctx, metadata.UpstreamCredential{
		Upstream: to, Project: c.Project, Username: c.Username, Sealed: sealed, Creator: creator, CreatedAt: now, UpdatedAt: now,
	}, Most)
}

// Delete forgets a credential; the error is metadata.ErrNotFound when there is none.
func (k *Keeper) Delete(ctx context.Context, from, project, username string) error {
	return k.store.Delete(ctx, from, project, username)
}

// All tells of all credentials, without their passwords.
func (k *Keeper) All(ctx context.Context) ([]metadata.UpstreamCredential, error) {
	all, err := k.store.All(ctx)
	for i := range all {
		all[i].Sealed = nil
	}
	return all, err
}

// Open tells all credentials with their passwords, by upstream. Shut are those whose
// passwords cannot be read: they were encrypted by another key, or the key is gone.
func (k *Keeper) Open(ctx context.Context) (open map[string][]upstream.Credential, shut []metadata.UpstreamCredential, err error) {
	all, err := k.store.All(ctx)
	if err != nil || len(all) == 0 {
		return nil, nil, err
	}
	secret, err := k.key(false)
	if err != nil && !errors.Is(err, ErrNoKey) {
		return nil, nil, err
	}
	open = map[string][]upstream.Credential{}
	for _, c := range all {
		password, err := unseal(secret, ofUpstreams, binding(c.Upstream, c.Project, c.Username), c.Sealed)
		if err != nil {
			c.Sealed = nil
			shut = append(shut, c)
			continue
		}
		open[c.Upstream] = append(open[c.Upstream], upstream.Credential{Username: c.Username, Password: string(password), Project: c.Project})
	}
	return open, shut, nil
}

func check(c upstream.Credential) error {
	bad := func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == ':' || r == unicode.ReplacementChar
	}
	if c.Username == "" || len(c.Username) > maxUsername || strings.ContainsFunc(c.Username, bad) {
		return ErrUsername
	}
	if c.Password == "" || len(c.Password) > maxPassword || strings.ContainsFunc(c.Password, unicode.IsControl) {
		return ErrPassword
	}
	return nil
}

package authn

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/ratelimit"
)

// AttemptsError is returned where somebody has tried too many wrong passwords, or too many
// logins at an issuer. Nothing was compared or asked: it says nothing about the password.
type AttemptsError struct {
	// RetryAfter is when another try is possible.
	RetryAfter time.Duration
	what       string
}

func (e *AttemptsError) Error() string {
	return fmt.Sprintf("too many %s were tried from your address: try again in %d seconds", e.what, e.Seconds())
}

// Seconds is RetryAfter as an answer tells it (RFC 9110, §10.2.3).
func (e *AttemptsError) Seconds() int { return int(math.Ceil(e.RetryAfter.Seconds())) }

// attempts limits wrong passwords: for each account and where they come from, so that
// nobody can lock its owner out from elsewhere, and for each origin, so that one password
// is not tried at many accounts. Logins at an issuer count alike, as those of one account;
// and whatever an issuer is asked for on behalf of an origin is limited, failed or not.
type attempts struct {
	now       func() time.Time
	ofAccount ratelimit.Bucket
	ofOrigin  ratelimit.Bucket
	ofAsking  ratelimit.Bucket

	mu sync.Mutex // what is counted is counted once
	// full tells when a bucket is full again, by the SHA-256 of what it is for, so that an
	// entry takes the same room however long a name is.
	full *otter.Cache[[sha256.Size]byte, time.Time]
}

func newAttempts(now func() time.Time) (*attempts, error) {
	full, err := newCache[[sha256.Size]byte, time.Time]()
	if err != nil {
		return nil, err
	}
	return &attempts{
		now: now, full: full,
		ofAccount: ratelimit.Bucket{Burst: 10, Every: time.Minute},
		ofOrigin:  ratelimit.Bucket{Burst: 60, Every: 10 * time.Second},
		ofAsking:  ratelimit.Bucket{Burst: 120, Every: 500 * time.Millisecond},
	}, nil
}

// begin counts a try as failed before it is made, so that many at once are no way around
// the limit. The error is an *AttemptsError. Whoever is told that it did not fail calls
// forgive.
func (a *attempts) begin(user string, from netip.Addr) (forgive func(), err error) {
	origin := oci.ClientOf(from).String()
	account, all := sha256.Sum256([]byte(origin+" "+user)), sha256.Sum256([]byte(origin))
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	accountFull, wait := a.ofAccount.Take(a.get(account), now)
	originFull, longer := a.ofOrigin.Take(a.get(all), now)
	if wait = max(wait, longer); wait > 0 {
		return nil, &AttemptsError{RetryAfter: wait, what: "wrong passwords"}
	}
	a.full.Set(account, accountFull)
	a.full.Set(all, originFull)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.full.Set(account, a.ofAccount.Return(a.get(account)))
		a.full.Set(all, a.ofOrigin.Return(a.get(all)))
	}, nil
}

// atIssuer is the account whose attempts are the logins at an issuer. Nobody is called so.
const atIssuer = "logins at an issuer"

// beginAtIssuer is begin for a login at an issuer.
func (a *attempts) beginAtIssuer(from netip.Addr) (forgive func(), err error) {
	forgive, err = a.begin(atIssuer, from)
	if tooMany, ok := errors.AsType[*AttemptsError](err); ok {
		tooMany.what = "logins"
	}
	return forgive, err
}

// ask counts that an issuer is asked for something on behalf of an origin.
func (a *attempts) ask(from netip.Addr) error {
	key := sha256.Sum256([]byte("asks " + oci.ClientOf(from).String()))
	a.mu.Lock()
	defer a.mu.Unlock()
	full, wait := a.ofAsking.Take(a.get(key), a.now())
	if wait > 0 {
		return &AttemptsError{RetryAfter: wait, what: "logins"}
	}
	a.full.Set(key, full)
	return nil
}

func (a *attempts) get(key [sha256.Size]byte) time.Time {
	full, _ := a.full.GetIfPresent(key)
	return full
}

package authn

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// busy takes all turns, so that whatever needs a computation must wait, and
// returns a context in which nobody waits.
func busy(t *testing.T, a *Authenticator) context.Context {
	t.Helper()
	for range computations {
		a.passwords.turns <- struct{}{}
	}
	t.Cleanup(func() {
		for range computations {
			<-a.passwords.turns
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAPasswordIsHashedAsOWASPAdvises(t *testing.T) {
	a, store, _ := newTest(t)
	hash := store.people[UserAdmin].PasswordHash
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash = %s", hash)
	}
	other, err := a.passwords.hash(t.Context(), testPassword)
	if err != nil || other == hash {
		t.Errorf("a second hash of the same password = %s, %v; want another salt", other, err)
	}
}

func TestAtMostTwoComputationsRunAtOnce(t *testing.T) {
	a, _, _ := newTest(t)
	ctx := busy(t, a)
	_, _, err := a.Basic(ctx, UserAdmin, "wrong", netip.Addr{})
	wantError(t, err, context.Canceled)
	if errors.Is(err, ErrInvalidCredentials) {
		t.Error("a caller who went away is told that the password is wrong")
	}
}

func TestAnUnknownUserCostsAComputationToo(t *testing.T) {
	a, _, _ := newTest(t)
	for _, user := range []string{"nobody", "", "unused"} {
		_, _, err := a.Basic(t.Context(), user, testPassword, netip.Addr{})
		wantError(t, err, ErrInvalidCredentials)
	}
	_, _, err := a.Basic(busy(t, a), "nobody", testPassword, netip.Addr{})
	wantError(t, err, context.Canceled)
}

func TestTheDecoyCostsWhatAPasswordCosts(t *testing.T) {
	a, store, _ := newTest(t)
	want, salt, key, err := parsePHC(store.people[UserAdmin].PasswordHash)
	if err != nil {
		t.Fatal(err)
	}
	got, decoySalt, decoyKey, err := parsePHC(a.passwords.decoy)
	if err != nil {
		t.Fatal(err)
	}
	if got != want || len(decoySalt) != len(salt) || len(decoyKey) != len(key) {
		t.Errorf("decoy = %+v, a user's hash = %+v", got, want)
	}
}

func TestAVerifiedPasswordIsNotComputedAgainForTenMinutes(t *testing.T) {
	a, _, c := newTest(t)
	login(t, a)
	ctx := busy(t, a)
	c.Pass(passwordLife - time.Second)
	if _, _, err := a.Basic(ctx, UserAdmin, testPassword, netip.Addr{}); err != nil {
		t.Errorf("a password verified before: %v", err)
	}
	_, _, err := a.Basic(ctx, UserAdmin, testPassword+"x", netip.Addr{})
	wantError(t, err, context.Canceled)
	c.Pass(time.Second)
	_, _, err = a.Basic(ctx, UserAdmin, testPassword, netip.Addr{})
	wantError(t, err, context.Canceled)
}

func TestManyWhoComeWithOnePasswordAtOnceAreOneAttempt(t *testing.T) {
	a, _, _ := newTest(t)
	var work sync.WaitGroup
	for range 50 {
		work.Go(func() {
			if _, _, err := a.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{}); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
}

func TestWhoWaitedForATurnDoesNotComputeWhatWasVerifiedMeanwhile(t *testing.T) {
	a, _, _ := newTest(t)
	synctest.Test(t, func(t *testing.T) {
		a.passwords.turns = make(chan struct{}, computations)
		ctx := busy(t, a)
		u := metadata.User{Name: UserAdmin, PasswordHash: a.passwords.decoy} // which no password matches
		verified := make(chan error, 10)
		for range cap(verified) {
			go func() { verified <- a.compare(context.WithoutCancel(ctx), UserAdmin, u, testPassword, netip.Addr{}) }()
		}
		synctest.Wait()
		a.passwords.verified.Set(a.passwords.cacheKey(u.Generation, u.PasswordHash, testPassword), a.passwords.now())
		for range computations {
			<-a.passwords.turns
		}
		for range cap(verified) {
			if err := <-verified; err != nil {
				t.Error(err)
			}
		}
		for range computations { // busy gives them back
			a.passwords.turns <- struct{}{}
		}
	})
}

func TestAnEndlessPasswordIsRefusedUnread(t *testing.T) {
	a, _, _ := newTest(t)
	_, _, err := a.Basic(busy(t, a), UserAdmin, strings.Repeat("x", maxPassword+1), netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	if _, err := a.SetPassword(t.Context(), UserAdmin, strings.Repeat("x", maxPassword+1)); err == nil {
		t.Error("it can be set")
	}
}

func TestADisabledUserIsRefused(t *testing.T) {
	a, store, c := newTest(t)
	u := store.people[UserAdmin]
	u.Disabled = true
	store.people[UserAdmin] = u
	c.Pass(recentLife)
	_, _, err := a.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
}

func TestAFailingStoreIsNotAWrongPassword(t *testing.T) {
	a, store, c := newTest(t)
	secret, _, err := a.CreateToken(t.Context(), NewToken{User: UserAdmin, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	id, cred := login(t, a)
	token, _, err := a.Issue(t.Context(), id, cred, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.Pass(recentLife)
	store.fault = errStore

	_, _, err = a.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{})
	wantError(t, err, errStore)
	_, _, err = a.Basic(t.Context(), UserAdmin, secret, netip.Addr{})
	wantError(t, err, errStore)
	_, _, err = a.Verify(t.Context(), token)
	wantError(t, err, errStore)
	_, err = a.EnsureAdmin(t.Context(), "")
	wantError(t, err, errStore)
}

func TestADamagedHashIsAFaultAndCostsNothing(t *testing.T) {
	tests := []struct{ name, hash string }{
		{"another algorithm", "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
		{"another version", "$argon2id$v=16$m=19456,t=2,p=1$c2FsdA$a2V5"},
		{"all the memory", "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdA$a2V5"},
		{"all the time", "$argon2id$v=19$m=19456,t=4294967295,p=1$c2FsdA$a2V5"},
		{"no rounds", "$argon2id$v=19$m=19456,t=0,p=1$c2FsdA$a2V5"},
		{"no lanes", "$argon2id$v=19$m=19456,t=2,p=0$c2FsdA$a2V5"},
		{"costs that are no numbers", "$argon2id$v=19$m=a,t=2,p=1$c2FsdA$a2V5"},
		{"a key that is not base64", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$!"},
		{"no key", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, store, c := newTest(t)
			u := store.people[UserAdmin]
			u.PasswordHash = tt.hash
			store.people[UserAdmin] = u
			c.Pass(recentLife)
			_, _, err := a.Basic(busy(t, a), UserAdmin, testPassword, netip.Addr{})
			wantError(t, err, errHash)
		})
	}
}

package authn

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	home   = netip.MustParseAddr("192.0.2.1")
	abroad = netip.MustParseAddr("198.51.100.7")
)

// wrong tries a wrong password and tells whether it was compared.
func wrong(t *testing.T, a *Authenticator, user string, from netip.Addr) bool {
	t.Helper()
	_, _, err := a.Basic(t.Context(), user, "wrong", from)
	if refused, ok := errors.AsType[*AttemptsError](err); ok {
		if refused.RetryAfter <= 0 || refused.Seconds() <= 0 {
			t.Errorf("error = %+v", refused)
		}
		return false
	}
	wantError(t, err, ErrInvalidCredentials)
	return true
}

// exhaust tries wrong passwords until none is compared any more.
func exhaust(t *testing.T, a *Authenticator, user string, from netip.Addr) (tries int) {
	t.Helper()
	for wrong(t, a, user, from) {
		if tries++; tries > 100 {
			t.Fatal("there is no limit")
		}
	}
	return tries
}

func TestWrongPasswordsAreLimitedAndTheOwnerIsNotLockedOut(t *testing.T) {
	a, _, c := newTest(t)
	if tries := exhaust(t, a, UserAdmin, abroad); tries != 10 {
		t.Errorf("%d tries were compared, want 10", tries)
	}
	// From there not even the right one is compared: it would tell.
	_, _, err := a.Basic(t.Context(), UserAdmin, testPassword, abroad)
	if _, ok := errors.AsType[*AttemptsError](err); !ok {
		t.Errorf("error = %v", err)
	}
	// From elsewhere it is as good as ever.
	if _, _, err := a.Basic(t.Context(), UserAdmin, testPassword, home); err != nil {
		t.Errorf("the owner is locked out: %v", err)
	}
	c.Pass(time.Minute)
	if !wrong(t, a, UserAdmin, abroad) || wrong(t, a, UserAdmin, abroad) {
		t.Error("a minute later there is not one more try")
	}
}

func TestALimitDoesNotTellWhetherThereIsSuchAUser(t *testing.T) {
	a, _, _ := newTest(t)
	if known, unknown := exhaust(t, a, UserAdmin, abroad), exhaust(t, a, "nobody", abroad); known != unknown {
		t.Errorf("%d tries for a user, %d for nobody", known, unknown)
	}
}

func TestAPasswordVerifiedLatelyIsGoodWhateverOthersTryFromThere(t *testing.T) {
	a, _, _ := newTest(t)
	if _, _, err := a.Basic(t.Context(), UserAdmin, testPassword, home); err != nil {
		t.Fatal(err)
	}
	exhaust(t, a, UserAdmin, home)
	if _, _, err := a.Basic(t.Context(), UserAdmin, testPassword, home); err != nil {
		t.Errorf("somebody behind the same address locks the owner out: %v", err)
	}
}

func TestRightPasswordsAreNotCounted(t *testing.T) {
	a, _, c := newTest(t)
	for range 30 {
		if _, _, err := a.Basic(t.Context(), UserAdmin, testPassword, home); err != nil {
			t.Fatal(err)
		}
		c.Pass(passwordLife) // so that it is compared again
	}
}

func TestOnePasswordIsNotTriedAtManyAccounts(t *testing.T) {
	a, _, _ := newTest(t)
	compared := 0
	for i := range 100 {
		if _, err := a.attempts.begin(fmt.Sprintf("user%d", i), abroad); err == nil {
			compared++
		}
	}
	if compared != 60 {
		t.Errorf("%d tries were compared, want 60", compared)
	}
}

func TestANetworkOfIPv6IsOneOrigin(t *testing.T) {
	a, _, _ := newTest(t)
	passes := func(from string) bool {
		_, err := a.attempts.begin(UserAdmin, netip.MustParseAddr(from))
		return err == nil
	}
	for range 10 {
		passes("2001:db8::1")
		passes("198.51.100.7")
	}
	if passes("2001:db8::2") {
		t.Error("another address of the same /64 has tries of its own")
	}
	if !passes("2001:db8:0:1::1") {
		t.Error("another /64 has none")
	}
	if passes("::ffff:198.51.100.7") {
		t.Error("the same address written as IPv6 has tries of its own")
	}
}

func TestManyTriesAtOnceAreNoWayAroundTheLimit(t *testing.T) {
	a, err := newAttempts(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var compared atomic.Int64
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := a.begin(UserAdmin, abroad); err == nil {
				compared.Add(1)
			}
		})
	}
	all.Wait()
	if n := compared.Load(); n != 10 {
		t.Errorf("%d tries passed, want 10", n)
	}
}

func TestWhoGoesAwayBeforeTheComparisonHasNotTried(t *testing.T) {
	a, _, _ := newTest(t)
	ctx := busy(t, a)
	for range 20 {
		_, _, err := a.Basic(ctx, UserAdmin, "wrong", abroad)
		if _, ok := errors.AsType[*AttemptsError](err); ok {
			t.Fatal("a try that was not made was counted")
		}
	}
}

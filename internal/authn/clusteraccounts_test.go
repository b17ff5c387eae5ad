package authn

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
)

func newClusterAccountsTest(t *testing.T) (c *ClusterAccounts, token string, r *reviewer) {
	t.Helper()
	own, _, clock := newTest(t)
	token = clusterToken(t, clusterIssuer, clock.Now().Add(time.Hour))
	r = &reviewer{users: map[string]kube.User{token: ci()}}
	c, err := WithServiceAccounts(own, r)
	if err != nil {
		t.Fatal(err)
	}
	return c, token, r
}

// shown tells who shows a token, in each way in which it is shown.
func (c *ClusterAccounts) shown(t *testing.T, token string) map[string]error {
	t.Helper()
	want := Identity{
		User: "system:serviceaccount:demo:ci", Groups: []string{"system:authenticated", "system:serviceaccounts", "system:serviceaccounts:demo"},
		Cap: &Cap{Scopes: []Scope{ScopeRead}},
	}
	basic, credential, basicErr := c.Basic(t.Context(), "unused", token, netip.Addr{})
	bearer, access, bearerErr := c.Verify(t.Context(), token)
	direct, _, directErr := c.AccessToken(t.Context(), token)
	all := map[string]error{"Basic": basicErr, "Verify": bearerErr, "AccessToken": directErr}
	for way, got := range map[string]Identity{"Basic": basic, "Verify": bearer, "AccessToken": direct} {
		if diff := cmp.Diff(want, got); all[way] == nil && diff != "" {
			t.Errorf("%s (-want +got):\n%s", way, diff)
		}
	}
	if basicErr == nil && (!credential.Token() || credential.User != want.User) || bearerErr == nil && len(access) == 0 {
		t.Errorf("the credential is %+v, the access %v", credential, access)
	}
	return all
}

func TestATokenOfAClustersServiceAccountIsThatOfTheAccountHereAndReads(t *testing.T) {
	c, token, _ := newClusterAccountsTest(t)
	for way, err := range c.shown(t, token) {
		if err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	// It makes no difference whether there is an account of that name.
	if err := c.users.Create(t.Context(), metadata.User{Name: ci().Name, Project: "demo"}); err != nil {
		t.Fatal(err)
	}
	c.Forget()
	for way, err := range c.shown(t, token) {
		if err != nil {
			t.Errorf("%s, with an account: %v", way, err)
		}
	}
}

// Whoever administers the cluster is nobody here, whatever they are called.
func TestNoOtherUserOfTheClusterIsKnownByAToken(t *testing.T) {
	for _, name := range []string{"admin", "alice", "system:admin", "system:serviceaccount:demo", "system:serviceaccount::ci", "system:node:n1"} {
		c, token, r := newClusterAccountsTest(t)
		r.users[token] = kube.User{Name: name, Groups: []string{"system:masters", "system:authenticated"}}
		for way, err := range c.shown(t, token) {
			if !errors.Is(err, ErrTokenInvalid) && !errors.Is(err, ErrInvalidCredentials) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
		}
	}
}

func TestADisabledAccountIsNotLetInByAToken(t *testing.T) {
	c, token, _ := newClusterAccountsTest(t)
	if err := c.users.Create(t.Context(), metadata.User{Name: ci().Name, Project: "demo", Disabled: true}); err != nil {
		t.Fatal(err)
	}
	for way, err := range c.shown(t, token) {
		if !errors.Is(err, ErrTokenInvalid) && !errors.Is(err, ErrInvalidCredentials) {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func TestATokenThatTheClusterRefusesOpensNothing(t *testing.T) {
	c, token, r := newClusterAccountsTest(t)
	r.users = nil
	for way, err := range c.shown(t, token) {
		if !errors.Is(err, ErrTokenInvalid) && !errors.Is(err, ErrInvalidCredentials) {
			t.Errorf("%s: %v", way, err)
		}
	}
	r.fault = &kube.UnansweredError{Public: "the cluster does not answer", Err: errors.New("timeout")}
	if _, _, err := c.AccessToken(t.Context(), token); err == nil || !strings.Contains(err.Error(), "the cluster does not answer") {
		t.Errorf("the error is %v", err)
	}
}

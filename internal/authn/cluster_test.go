package authn

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/kube"
	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/testkit"
)

// reviewer is a cluster that knows some tokens.
type reviewer struct {
	users map[string]kube.User
	fault error
	asked []string
}

func (r *reviewer) ReviewToken(_ context.Context, token string) (kube.User, error) {
	r.asked = append(r.asked, token)
	if r.fault != nil {
		return kube.User{}, r.fault
	}
	user, ok := r.users[token]
	if !ok {
		return kube.User{}, kube.ErrTokenRefused
	}
	return user, nil
}

// clusterToken is one that only the cluster can verify.
func clusterToken(t *testing.T, issuer string, expires time.Time) string {
	t.Helper()
	claims := jwt.RegisteredClaims{Issuer: issuer, Subject: "system:serviceaccount:demo:ci", ExpiresAt: jwt.NewNumericDate(expires)}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("the cluster's key, not ours"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

const clusterIssuer = "https://kubernetes.default.svc"

func ci() kube.User {
	return kube.User{
		Name: "system:serviceaccount:demo:ci", UID: "17", Groups: []string{"system:serviceaccounts", "system:authenticated"},
		Extra: map[string][]string{"scopes": {"user:info"}},
	}
}

func newClusterTest(t *testing.T) (*Cluster, *reviewer, *testkit.Clock) {
	t.Helper()
	own, _, clock := newTest(t)
	r := &reviewer{users: map[string]kube.User{}}
	c, err := WithCluster(own, r)
	if err != nil {
		t.Fatal(err)
	}
	return c, r, clock
}

func TestATokenOfTheClusterLogsInHoweverItIsShown(t *testing.T) {
	c, r, clock := newClusterTest(t)
	expires := clock.Now().Add(time.Hour)
	serviceAccount, openShift := clusterToken(t, clusterIssuer, expires), "sha256~abcdefghijklmnopqrstuvwxyz"
	r.users[serviceAccount], r.users[openShift] = ci(), kube.User{Name: "alice", Groups: []string{"devs"}}
	want := Identity{User: "system:serviceaccount:demo:ci", Groups: ci().Groups, UID: "17", Extra: ci().Extra}

	id, credential, err := c.Basic(t.Context(), "unused", serviceAccount, netip.Addr{})
	if diff := cmp.Diff(want, id); diff != "" || err != nil {
		t.Errorf("as a password: %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(Credential{User: want.User, Reviewed: true, ExpiresAt: expires.Local()}, credential); diff != "" {
		t.Errorf("the credential (-want +got):\n%s", diff)
	}
	id, access, err := c.Verify(t.Context(), serviceAccount)
	if diff := cmp.Diff(want, id); diff != "" || err != nil || !cmp.Equal(access, Everything()) {
		t.Errorf("as a bearer token: %v, %v (-want +got):\n%s", access, err, diff)
	}
	id, _, err = c.AccessToken(t.Context(), serviceAccount)
	if diff := cmp.Diff(want, id); diff != "" || err != nil {
		t.Errorf("as an access token: %v (-want +got):\n%s", err, diff)
	}
	id, _, err = c.Basic(t.Context(), "", openShift, netip.Addr{})
	if err != nil || id.User != "alice" {
		t.Errorf("OpenShift's as a password: %q, %v", id.User, err)
	}
}

func TestWhatTheClusterRefusesIsRefused(t *testing.T) {
	c, _, clock := newClusterTest(t)
	unknown := clusterToken(t, clusterIssuer, clock.Now().Add(time.Hour))

	_, _, err := c.Basic(t.Context(), "admin", unknown, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	_, _, err = c.Verify(t.Context(), unknown)
	wantError(t, err, ErrTokenInvalid)
	_, _, err = c.AccessToken(t.Context(), unknown)
	wantError(t, err, ErrTokenInvalid)
}

func TestATokenThatSaysItIsOverIsNotAskedAbout(t *testing.T) {
	c, r, clock := newClusterTest(t)
	token := clusterToken(t, clusterIssuer, clock.Now().Add(time.Minute))
	r.users[token] = ci()
	clock.Pass(time.Minute)

	_, _, err := c.Verify(t.Context(), token)
	wantError(t, err, ErrTokenExpired)
	_, _, err = c.Basic(t.Context(), "unused", token, netip.Addr{})
	wantError(t, err, ErrInvalidCredentials)
	if len(r.asked) > 0 {
		t.Errorf("the cluster was asked about %d tokens", len(r.asked))
	}
}

func TestPasswordsAndOwnTokensAreNotSentToTheCluster(t *testing.T) {
	c, r, clock := newClusterTest(t)
	id, credential, err := c.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{})
	if err != nil || id.User != UserAdmin || credential.Reviewed {
		t.Fatalf("the admin is %+v by %+v, %v", id, credential, err)
	}
	own := issue(t, c.Authenticator, pullApp, time.Minute)
	if id, _, err := c.Verify(t.Context(), own); err != nil || id.User != UserAdmin {
		t.Errorf("by a registry token the admin is %q, %v", id.User, err)
	}
	for _, wrong := range []string{
		"wrong", "a.long-password-with-two.dots", "larder_0123456789abcdefghijklmnopqrstuvwxyz",
		clusterToken(t, "larder", clock.Now().Add(time.Hour)), spoiled(own),
	} {
		if _, _, err := c.Basic(t.Context(), UserAdmin, wrong, netip.Addr{}); !errors.Is(err, ErrInvalidCredentials) {
			t.Errorf("the password %q gave %v", wrong, err)
		}
		if _, _, err := c.Verify(t.Context(), wrong); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("the bearer token %q gave %v", wrong, err)
		}
	}
	clock.Pass(2 * time.Minute)
	if _, _, err := c.Verify(t.Context(), own); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("an old registry token gave %v", err)
	}
	if len(r.asked) > 0 {
		t.Errorf("the cluster was asked about %q", r.asked)
	}
}

func TestAClustersUserIsNotTakenForTheAccountOfThatName(t *testing.T) {
	c, r, clock := newClusterTest(t)
	token := clusterToken(t, clusterIssuer, clock.Now().Add(time.Hour))
	r.users[token] = kube.User{Name: "admin", Groups: []string{"system:authenticated", "system:masters"}}

	for range 2 { // the second time it is remembered
		if id, _, err := c.Verify(t.Context(), token); !errors.Is(err, ErrTokenInvalid) || id.User != "" {
			t.Errorf("as a bearer token: %+v, %v", id, err)
		}
		if id, _, err := c.Basic(t.Context(), "admin", token, netip.Addr{}); !errors.Is(err, ErrInvalidCredentials) || id.User != "" {
			t.Errorf("as a password: %+v, %v", id, err)
		}
		if id, _, err := c.AccessToken(t.Context(), token); !errors.Is(err, ErrTokenInvalid) || id.User != "" {
			t.Errorf("as an access token: %+v, %v", id, err)
		}
	}
}

func TestAClustersUserGoesOutWhenAnAccountGetsTheName(t *testing.T) {
	c, r, clock := newClusterTest(t)
	token := clusterToken(t, clusterIssuer, clock.Now().Add(time.Hour))
	r.users[token] = kube.User{Name: "alice"}
	if _, _, err := c.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := c.users.Create(t.Context(), metadata.User{Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	clock.Pass(time.Second)

	_, _, err := c.Verify(t.Context(), token)

	wantError(t, err, ErrTokenInvalid)
}

func TestWithoutTheClusterNobodyIsAStrangerAndNobodyIsKnown(t *testing.T) {
	c, r, clock := newClusterTest(t)
	token := clusterToken(t, clusterIssuer, clock.Now().Add(time.Hour))
	r.fault = &kube.UnansweredError{Public: "the cluster's API server did not answer", Err: errors.New("connection refused")}
	const want = "who you are cannot be found out now: the cluster's API server did not answer; try again"

	_, _, basic := c.Basic(t.Context(), "unused", token, netip.Addr{})
	_, _, bearer := c.Verify(t.Context(), token)
	_, _, access := c.AccessToken(t.Context(), token)

	for _, err := range []error{basic, bearer, access} {
		if unknown, ok := errors.AsType[*UnknownError](err); !ok || unknown.Public() != want {
			t.Errorf("the error is %v", err)
		}
	}
	if id, _, err := c.Basic(t.Context(), UserAdmin, testPassword, netip.Addr{}); err != nil || id.User != UserAdmin {
		t.Errorf("the admin is %q, %v", id.User, err)
	}
}
